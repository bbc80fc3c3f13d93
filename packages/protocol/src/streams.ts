/**
 * Every JetStream stream as plain data (ms, bytes). One owner ensures each at start; others bind and fail fast if it differs.
 * The byte budgets of a profile sum up within its `maxFileBytes` (streams.test.ts), because JetStream reserves them.
 */
import { LANE_COUNT } from "./lane.ts";
import { type InputFamily, subjects } from "./subjects.ts";
import type { ServiceName } from "./services.ts";

export const PROFILES = ["laptop", "server", "cluster"] as const;
export type Profile = (typeof PROFILES)[number];

export interface StreamSpec {
  name: string;
  subjects: string[];
  /** The service that creates it. */
  owner: ServiceName;
  maxAgeMs: number;
  maxBytes: number;
  maxMsgBytes: number;
  duplicateWindowMs: number;
  discard: "old" | "new";
  /** A message may carry a life of its own (`Nats-TTL`). */
  hasMessageTtl?: true;
  /** Of each subject only the newest message is kept. */
  newestOnly?: true;
  /** Lives in the broker's memory: worth losing with it, and not worth an fsync. */
  inMemory?: true;
  description: string;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const ONE_MIB = MiB;
/** JetStream `max_mem` of every installation, in decimal megabytes as its configuration counts. */
export const NATS_MAX_MEMORY_MEGABYTES = 64;
/** One upstream message may have 4 MiB; its frame adds the envelope. NATS must be configured with this `max_payload` or more. */
export const MAX_UPSTREAM_MESSAGE_BYTES = 4 * MiB;
export const MAX_FEED_MESSAGE_BYTES = 6 * MiB;
export const NATS_MAX_PAYLOAD_BYTES = 8 * MiB;

interface Budget {
  /** JetStream `max_file`. */
  maxFileBytes: number;
  /** Per lane for laned inputs, whole stream for the rest. */
  visitsLane: number;
  signals: number;
  /** Per lane. */
  feedsLane: number;
  topics: number;
  analyses: number;
  registry: number;
  erasures: number;
  consents: number;
  deadLetters: number;
  /** In memory. */
  sockets: number;
  /** KV buckets `lease` and `cfg`, one byte budget each. */
  kv: number;
}

export const BUDGETS: Record<Profile, Budget> = {
  laptop: {
    maxFileBytes: 10 * GiB,
    visitsLane: 128 * MiB,
    signals: 3 * GiB,
    feedsLane: 64 * MiB,
    topics: GiB,
    analyses: 256 * MiB,
    registry: 256 * MiB,
    erasures: 256 * MiB,
    consents: 512 * MiB,
    deadLetters: 128 * MiB,
    sockets: 48 * MiB,
    kv: 16 * MiB,
  },
  server: {
    maxFileBytes: 128 * GiB,
    visitsLane: 2 * GiB,
    signals: 44 * GiB,
    feedsLane: GiB,
    topics: 16 * GiB,
    analyses: 4 * GiB,
    registry: 2 * GiB,
    erasures: 2 * GiB,
    consents: 8 * GiB,
    deadLetters: 2 * GiB,
    sockets: 48 * MiB,
    kv: 64 * MiB,
  },
  cluster: {
    maxFileBytes: 512 * GiB,
    visitsLane: 8 * GiB,
    signals: 128 * GiB,
    feedsLane: 4 * GiB,
    topics: 96 * GiB,
    analyses: 16 * GiB,
    registry: 8 * GiB,
    erasures: 8 * GiB,
    consents: 32 * GiB,
    deadLetters: 8 * GiB,
    sockets: 48 * MiB,
    kv: 64 * MiB,
  },
};

/** Name of the stream of one lane of an input family: `VISITS_3`. */
export function inputStreamName(family: InputFamily, lane: number): string {
  return `${family.toUpperCase()}_${lane}`;
}

/** Streams that exist today. A family gets its row when its first writer does. */
export function streamSpecs(profile: Profile, laneCount: number = LANE_COUNT): StreamSpec[] {
  const budget = BUDGETS[profile];
  const lanes = Array.from({ length: laneCount }, (_, lane) => lane);
  return [
    ...lanes.map(
      (lane): StreamSpec => ({
        name: inputStreamName("visits", lane),
        subjects: [subjects.lane("visits", lane)],
        owner: "ingest",
        maxAgeMs: 72 * HOUR,
        maxBytes: budget.visitsLane,
        maxMsgBytes: MiB,
        duplicateWindowMs: 2 * MINUTE,
        discard: "new",
        description: `accepted visitor events, lane ${lane}`,
      }),
    ),
    {
      name: "SIGNALS",
      subjects: [subjects.allLanes("signals")],
      owner: "scoring",
      maxAgeMs: 36 * HOUR,
      maxBytes: budget.signals,
      maxMsgBytes: MiB,
      duplicateWindowMs: 2 * MINUTE,
      discard: "old",
      description: "labeled events, NDJSON frames: the hot window",
    },
    ...lanes.map(
      (lane): StreamSpec => ({
        name: inputStreamName("feeds", lane),
        subjects: [subjects.lane("feeds", lane)],
        owner: "ingest",
        maxAgeMs: HOUR,
        maxBytes: budget.feedsLane,
        maxMsgBytes: MAX_FEED_MESSAGE_BYTES,
        duplicateWindowMs: 2 * MINUTE,
        // Outside data has no acknowledgement from us: the oldest goes when the budget is used up, and is counted.
        discard: "old",
        description: `messages of upstream feeds, lane ${lane}`,
      }),
    ),
    {
      name: "TOPICS",
      subjects: [subjects.allLanes("topics")],
      owner: "routing",
      maxAgeMs: 6 * HOUR,
      maxBytes: budget.topics,
      maxMsgBytes: MAX_FEED_MESSAGE_BYTES,
      duplicateWindowMs: 2 * MINUTE,
      discard: "old",
      description: "feed messages with their topic, raw data of plain feeds, feed states: NDJSON frames",
    },
    {
      name: "ANALYSES",
      subjects: [subjects.allLanes("analyses")],
      owner: "intelligence",
      maxAgeMs: 7 * DAY,
      maxBytes: budget.analyses,
      maxMsgBytes: MiB,
      duplicateWindowMs: 2 * MINUTE,
      discard: "old",
      description: "automatic answers about topics, with model, window and tokens: NDJSON frames",
    },
    {
      name: "SOCKETS",
      subjects: [subjects.allSocketSessions()],
      owner: "edge",
      // Longer than a session is kept: clocks of two hosts differ.
      maxAgeMs: 2 * MINUTE,
      maxBytes: budget.sockets,
      // 500 subscriptions, each to a feed of its own, with the longest topics.
      maxMsgBytes: 384 * KiB,
      duplicateWindowMs: 2 * MINUTE,
      discard: "old",
      newestOnly: true,
      inMemory: true,
      description: "what `/ws` sockets listened to that named a session",
    },
    {
      name: "ERASURES",
      subjects: [subjects.allLanes("erasures")],
      owner: "scoring",
      maxAgeMs: 0,
      maxBytes: budget.erasures,
      maxMsgBytes: 64 * KiB,
      duplicateWindowMs: 2 * MINUTE,
      discard: "new",
      description: "opt-outs and erasures as keyed hashes",
    },
    {
      name: "CONSENTS",
      subjects: [subjects.allLanes("consents")],
      owner: "ingest",
      maxAgeMs: 0,
      maxBytes: budget.consents,
      maxMsgBytes: 64 * KiB,
      duplicateWindowMs: 2 * MINUTE,
      discard: "new",
      description: "consent decisions as keyed hashes: audit and current state",
    },
    {
      name: "REGISTRY",
      subjects: [subjects.allRegistry()],
      owner: "auth",
      maxAgeMs: 0,
      maxBytes: budget.registry,
      maxMsgBytes: MiB,
      duplicateWindowMs: 2 * MINUTE,
      discard: "new",
      hasMessageTtl: true,
      description: "tenants, keys, sites: facts with a position; ended login sessions until their token has expired",
    },
    {
      name: "DLQ",
      subjects: [subjects.allDeadLetters()],
      owner: "auth",
      maxAgeMs: 30 * DAY,
      maxBytes: budget.deadLetters,
      maxMsgBytes: MiB,
      duplicateWindowMs: 2 * MINUTE,
      discard: "old",
      description: "poison with reason and origin",
    },
  ];
}

/** KV buckets: leases (TTL per key) and install-time configuration. */
export const KV_LEASE = "lease";
export const KV_CFG = "cfg";

/** Above this share of `maxBytes` the lane owner purges its input stream behind the safe point. */
export const PURGE_ABOVE_SHARE = 0.8;

export const MAX_FRAME_BYTES = 512 * KiB;
/** A group commit goes out at this many events or bytes. */
export const GROUP_COMMIT_MAX_EVENTS = 256;
export const GROUP_COMMIT_MAX_BYTES = 64 * KiB;
