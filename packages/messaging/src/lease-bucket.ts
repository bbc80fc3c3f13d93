/**
 * KV buckets as we use them: `lease` (one value per key, per-key TTL, optimistic writes) and `cfg` (install-time facts).
 * Revisions are stream sequences, so the revision of a create is a fencing epoch. Tests: lease-bucket.int.test.ts.
 */
import { KV_CFG, KV_LEASE, LANE_COUNT } from "@headwater/protocol";
import { DiscardPolicy, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { nanos } from "@nats-io/transport-node";
import { connectionOf, type Nats } from "./connection.ts";
import { createPublisher, PublishError } from "./publisher.ts";
import { openReader } from "./reader.ts";
import { ensureStream, lastMessage } from "./streams.ts";
import type { Logger } from "@headwater/runtime";

export interface BucketOptions {
  replicas: number;
  maxBytes: number;
}

export interface LeaseChange {
  key: string;
  /** Undefined: deleted or expired. */
  value: string | undefined;
  revision: number;
}

export interface LeaseBucket {
  /** Takes a free key. @returns its revision, or undefined when somebody holds it. */
  create(key: string, value: string, ttlMs: number): Promise<number | undefined>;
  /** Writes again if nobody else did since `revision`, restarting the TTL. @returns the new revision, or undefined when the lease is lost. */
  renew(key: string, value: string, revision: number, ttlMs: number): Promise<number | undefined>;
  /** Writes whatever was there before, restarting the TTL. */
  put(key: string, value: string, ttlMs: number): Promise<number>;
  /** Frees the key if it still has `revision` (omitted: in any case). False when somebody else has it by now. */
  remove(key: string, revision?: number): Promise<boolean>;
  get(key: string): Promise<LeaseChange | undefined>;
  /** Current values first, then changes in order; expiry comes as a change without value. */
  watch(onChange: (change: LeaseChange) => void): { caughtUp: Promise<void>; stop(): Promise<void> };
  close(): void;
}

/** TTLs are whole seconds on the wire, at least one. */
const ttlHeader = (ttlMs: number): string => `${Math.max(1, Math.ceil(ttlMs / 1_000))}s`;
const keyToken = /^[A-Za-z0-9_.-]{1,128}$/;

export async function openLeaseBucket(nats: Nats, options: BucketOptions & { log: Logger; timeoutMs?: number }): Promise<LeaseBucket> {
  const stream = `KV_${KV_LEASE}`;
  await ensureStream(nats, {
    name: stream,
    subjects: [`$KV.${KV_LEASE}.>`],
    description: "ownership of lanes and membership of workers",
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    num_replicas: options.replicas,
    max_bytes: options.maxBytes,
    max_msgs_per_subject: 1,
    max_msg_size: 64 * 1024,
    discard: DiscardPolicy.New,
    duplicate_window: nanos(120_000),
    allow_direct: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_msg_ttl: true,
    // An expired key leaves a marker, so that watchers learn of it.
    subject_delete_marker_ttl: nanos(60_000),
  });
  const publisher = createPublisher(nats);
  const timeoutMs = options.timeoutMs ?? 1_000;
  const subjectOf = (key: string): string => {
    if (!keyToken.test(key)) throw new RangeError(`not a lease key: ${JSON.stringify(key)}`);
    return `$KV.${KV_LEASE}.${key}`;
  };
  const write = async (key: string, value: string, ttlMs: number, expected?: number): Promise<number | undefined> => {
    try {
      const ack = await publisher.publish(subjectOf(key), value, {
        timeoutMs,
        headers: { "Nats-TTL": ttlHeader(ttlMs) },
        ...(expected === undefined ? {} : { expectLastSubjectSeq: expected }),
      });
      return ack.seq;
    } catch (error) {
      if (error instanceof PublishError && error.code === "wrong_last_sequence") return undefined;
      throw error;
    }
  };
  const get = async (key: string): Promise<LeaseChange | undefined> => {
    const msg = await lastMessage(nats, stream, subjectOf(key));
    if (!msg) return undefined;
    return { key, value: isMarker(msg) ? undefined : new TextDecoder().decode(msg.data), revision: msg.seq };
  };

  return {
    async create(key, value, ttlMs) {
      const first = await write(key, value, ttlMs, 0);
      if (first !== undefined) return first;
      const current = await get(key);
      if (current === undefined) return write(key, value, ttlMs, 0); // the marker itself just expired
      return current.value === undefined ? write(key, value, ttlMs, current.revision) : undefined;
    },
    renew: (key, value, revision, ttlMs) => write(key, value, ttlMs, revision),
    async put(key, value, ttlMs) {
      // Without an expectation the write cannot be refused for its sequence.
      return (await write(key, value, ttlMs)) ?? 0;
    },
    async remove(key, revision) {
      try {
        await publisher.publish(subjectOf(key), "", {
          timeoutMs,
          headers: { "KV-Operation": "DEL", "Nats-TTL": "60s" },
          ...(revision === undefined ? {} : { expectLastSubjectSeq: revision }),
        });
        return true;
      } catch (error) {
        if (error instanceof PublishError && error.code === "wrong_last_sequence") return false;
        throw error;
      }
    },
    get,
    watch(onChange) {
      const reader = openReader(nats, {
        stream,
        from: "all",
        log: options.log,
        onMessage: (msg) => {
          const key = msg.subject.slice(`$KV.${KV_LEASE}.`.length);
          onChange({ key, value: isMarker(msg) ? undefined : new TextDecoder().decode(msg.data), revision: msg.seq });
        },
      });
      return { caughtUp: reader.caughtUp, stop: () => reader.stop() };
    },
    close: () => publisher.close(),
  };
}

function isMarker(msg: { header(name: string): string | undefined }): boolean {
  return msg.header("KV-Operation") !== undefined || msg.header("Nats-Marker-Reason") !== undefined;
}

/** The lane count of this installation is another one than this process was configured for. */
export class LaneCountMismatch extends Error {
  override readonly name = "LaneCountMismatch";
}

/** Reads the lane count written at first install, writing it when it is not there. @throws LaneCountMismatch */
export async function readLaneCount(nats: Nats, expected: number = LANE_COUNT, options: BucketOptions): Promise<number> {
  const kvm = new Kvm(connectionOf(nats));
  const bucket = await kvm.create(KV_CFG, { history: 1, replicas: options.replicas, max_bytes: options.maxBytes });
  const key = "lane_count";
  const read = async (): Promise<number | undefined> => {
    const entry = await bucket.get(key);
    return entry && entry.operation === "PUT" ? Number(entry.string()) : undefined;
  };
  let stored = await read();
  if (stored === undefined) {
    try {
      await bucket.create(key, String(expected));
      stored = expected;
    } catch (error) {
      stored = await read(); // another service was first
      if (stored === undefined) throw error;
    }
  }
  if (stored !== expected) {
    throw new LaneCountMismatch(`this installation has ${stored} lanes, the process is configured for ${expected}: refusing to run`);
  }
  return stored;
}
