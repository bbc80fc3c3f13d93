/**
 * Sessions of `/ws` in SOCKETS: one message per session, the newest only. Every write names the message it replaces, so whoever did not see the
 * newest one writes nothing. Questions wait a second at most. The stream lives in the broker's memory and is gone with it: whoever finds it missing
 * makes it anew. Tests: feeds-sessions.int.test.ts.
 */
import { lastMessage, type Nats, PublishError, type Publisher, StreamMissing } from "@headwater/messaging";
import { decodeSocketSession, encodeSocketSession, type SocketSessionRecord, subjects } from "@headwater/protocol";
import { hkdfSync } from "node:crypto";
import { hmacSha256 } from "./cursor-seal.ts";

export interface StoredSession {
  /** Of the stored message; 0 = there is none. */
  seq: number;
  /** undefined: none, or not readable. */
  record: SocketSessionRecord | undefined;
}

export interface SocketSessionStore {
  /** Not to be guessed, and the same on every edge. */
  keyOf(account: { tenantId: string; userId: string }, sessionId: string): string;
  /** Rejects when the broker does not answer in time. */
  read(key: string): Promise<StoredSession>;
  /** @returns sequence; undefined when the newest message is not `expected`. Rejects when nobody can tell. */
  write(key: string, record: SocketSessionRecord, expected: number): Promise<number | undefined>;
}

const STREAM = "SOCKETS";
const WAIT_MS = 1_000;

export interface SocketSessionStoreOptions {
  nats: Nats;
  publisher: Publisher;
  secret: string;
  /** Makes the stream when there is none. */
  ensureStream(): Promise<void>;
}

export function createSocketSessionStore({ nats, publisher, secret, ensureStream }: SocketSessionStoreOptions): SocketSessionStore {
  const mac = hmacSha256(Buffer.from(hkdfSync("sha256", secret, "headwater.sockets", "session", 32)));
  let making: Promise<void> | undefined;
  const makeStream = (): Promise<void> => {
    making ??= ensureStream().finally(() => (making = undefined));
    return making;
  };
  const newest = async (key: string): Promise<StoredSession> => {
    try {
      const msg = await lastMessage(nats, STREAM, subjects.socketSession(key));
      if (msg) return { seq: msg.seq, record: decodeSocketSession(msg.data) };
    } catch (error) {
      if (!(error instanceof StreamMissing)) throw error;
      await makeStream();
    }
    return { seq: 0, record: undefined };
  };
  return {
    keyOf({ tenantId, userId }, sessionId) {
      return mac(Buffer.from(JSON.stringify([tenantId, userId, sessionId]))).toString("base64url");
    },
    async read(key) {
      if (!nats.connected()) throw new Error("not connected to NATS");
      return inTime(newest(key));
    },
    async write(key, record, expected) {
      try {
        const options = { expectLastSubjectSeq: expected, expectStream: STREAM, timeoutMs: WAIT_MS };
        return (await publisher.publish(subjects.socketSession(key), encodeSocketSession(record), options)).seq;
      } catch (error) {
        if (error instanceof PublishError && error.code === "wrong_last_sequence") return undefined;
        throw error;
      }
    },
  };
}

/** What comes later is nobody's any more. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error("no answer in time")), WAIT_MS);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
