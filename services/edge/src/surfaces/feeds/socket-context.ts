/** What all `/ws` sockets of an edge share, and what they ask of their surface. */
import type { SocketClose } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { RegisteredAccess, SocketIdentity } from "../../domain/socket-access.ts";
import type { KeptSessions } from "./kept-session.ts";
import type { LlmPort } from "./llm-port.ts";
import type { DataStart } from "./subscriptions.ts";

/** Data and states of feeds; automatic answers. */
export type FeedLog = "topics" | "analyses";

/** What a socket needs to know of a feed. */
export interface FeedFacts {
  tenantId: string;
  isPublic: boolean;
  enableTopicRouting: boolean;
  bufferTtlMinutes: number;
}

export type Identification =
  | { ok: true; identity: SocketIdentity /** Absent: the slot the socket holds stays its own. */; release?: () => void }
  | { ok: false; error: string; close?: SocketClose };

export interface SocketFacts {
  origin: string | undefined;
  /** Whose slot it holds. */
  tenantId: string | undefined;
}

export interface SocketContext {
  registeredAccess: RegisteredAccess;
  /** Subscriptions of a socket that has no account. */
  anonymousSubscriptions: number;
  pingMs: number;
  llm: LlmPort;
  sessions: Pick<KeptSessions, "open" | "keyOf">;
  log: Logger;
  nowMs: () => number;
  feed(feedId: string): FeedFacts | undefined;
  /** Who the credential belongs to, with a slot of its tenant's sockets. */
  identify(credential: { apiKey: string } | { token: string }, socket: SocketFacts): Promise<Identification>;
  /** Makes sure that the log is read. False when the broker cannot be asked. */
  hold(log: FeedLog): Promise<boolean>;
  release(log: FeedLog): void;
  /** Where data begins; undefined when the broker cannot be asked. `null`: at the live end. */
  planStart(feedId: string, wish: StartWish, feed: FeedFacts): Promise<DataStart | null | undefined>;
}

export interface StartWish {
  /** It flowed before, and nobody knows how far. Goes before the others. */
  isLost?: true;
  cursor?: string | undefined;
  since?: number | string | undefined;
}
