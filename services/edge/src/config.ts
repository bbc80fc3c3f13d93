/** Settings of the edge, from the environment; durations and sizes carry their unit. Defaults are the documented ones. Tests: config.test.ts. */
import { type Env, envList, envNumber, parseEnv } from "@headwater/runtime";
import { z } from "zod";

const MiB = 1024 * 1024;

export const EdgeEnv = z.object({
  NATS_CONNECT_TIMEOUT_MS: envNumber(100, 600_000).default(30_000).describe("How long a starting service waits for NATS, ms"),
  NATS_REPLICAS: envNumber(1, 5).default(1).describe("Replicas of the streams this service creates; 3 on a cluster"),
  TRUSTED_PROXIES: envList().default([]).describe("Addresses or CIDR blocks whose X-Forwarded-For is believed"),
  UPGRADE_URL: z.url().default("https://headwater.example/plans").describe("Where a caller with too low a plan is sent"),
  FEED_HEARTBEAT_MS: envNumber(20, 600_000).default(30_000).describe("Signals Feed: interval of ping frames, ms"),
  FEED_IDLE_TIMEOUT_MS: envNumber(50, 3_600_000)
    .default(90_000)
    .describe("Signals Feed: a client silent for this long is closed with 4000, ms"),
  FEED_DURATION_WARNING_MS: envNumber(10, 600_000)
    .default(10_000)
    .describe("Signals Feed: duration_limit frame this long before the close with 4008, ms"),
  FEED_EXTRA_SLOT_MS: envNumber(10, 600_000).default(30_000).describe("Signals Feed: how long the make-before-break slot lasts, ms"),
  FEED_MAX_MESSAGE_BYTES: envNumber(256, MiB).default(16_384).describe("Signals Feed: largest client message, bytes"),
  FEED_MAX_MESSAGES_PER_SECOND: envNumber(1, 1_000).default(20).describe("Signals Feed: client messages per second"),
  CORS_ORIGIN: envList()
    .default(["http://localhost:7200"])
    .describe("Origins of browser applications that may call, comma-separated; `*` = any, then without credentials"),
  WS_REGISTERED_ACCESS: z
    .enum(["public", "none"])
    .default("public")
    .describe("`/ws`: what a socket may read that only gave itself a name (`register-user`): public feeds, or nothing"),
  WS_MAX_MESSAGE_BYTES: envNumber(256, 16 * MiB)
    .default(262_144)
    .describe("`/ws`: largest client message; above it 1009, bytes"),
  WS_MAX_MESSAGES_PER_SECOND: envNumber(1, 10_000).default(50).describe("`/ws`: client messages per second; above it 4429"),
  WS_MESSAGE_BURST: envNumber(1, 10_000).default(100).describe("`/ws`: client messages at once"),
  WS_PING_MS: envNumber(20, 600_000)
    .default(30_000)
    .describe("`/ws`: interval of protocol pings; two without a sign of life end the socket, ms"),
  WS_MAX_BUFFERED_BYTES: envNumber(16_384, 256 * MiB)
    .default(8 * MiB)
    .describe("`/ws`: queue of one socket; above it the oldest feed data is left out, bytes"),
  WS_MAX_FULL_MS: envNumber(50, 600_000).default(10_000).describe("`/ws`: a queue that stays full this long closes with 1013, ms"),
  EDGE_MAX_BUFFERED_BYTES: envNumber(4_096, 64 * MiB)
    .default(4 * MiB)
    .describe("Signals Feed: queue of one socket; above it 1011 slow_consumer, bytes"),
  EDGE_NO_PROGRESS_MS: envNumber(50, 600_000)
    .default(5_000)
    .describe("Signals Feed: pending data without progress for this long closes with 1011, ms"),
  EDGE_TERMINATE_AFTER_MS: envNumber(10, 60_000).default(2_000).describe("Between the close frame and destroying a socket that stalls, ms"),
  EDGE_QUEUE_BUDGET_BYTES: envNumber(65_536, 4_096 * MiB)
    .default(256 * MiB)
    .describe("Queues of all sockets; above it the laggiest go, bytes"),
  EDGE_RING_BYTES: envNumber(65_536, 4_096 * MiB)
    .default(64 * MiB)
    .describe("Hot tail of a stream kept in memory for resume, bytes"),
  EDGE_WARM_FRAMES: envNumber(0, 1_000_000).default(4_000).describe("Newest frames read into memory before the first socket joins"),
  EDGE_READER_IDLE_MS: envNumber(0, 600_000).default(10_000).describe("The stream reader outlives the last socket by this long, ms"),
  EDGE_MAX_LINGER_MS: envNumber(0, 50).default(5).describe("Longest time a frame waits to be written together with others, ms"),
  EDGE_MAX_REPLAY_READS: envNumber(1, 64).default(8).describe("Stream reads for resuming sockets at the same time"),
  EDGE_SWEEP_MS: envNumber(20, 10_000).default(1_000).describe("Every socket's deadlines are checked once in this time, ms"),
  EDGE_MAX_FAILED_HANDSHAKES_PER_MINUTE: envNumber(1, 100_000)
    .default(20)
    .describe("Refused credentials per address and minute before 429"),
  EDGE_MAX_SOCKETS_PER_ADDRESS: envNumber(1, 1_000_000).default(100).describe("Open sockets per client address; loopback is not limited"),
  EDGE_MAX_SOCKETS: envNumber(1, 10_000_000).default(50_000).describe("Open sockets of the process; above it 503"),
  EDGE_DRAIN_SPREAD_MS: envNumber(0, 600_000).default(30_000).describe("A stopping edge closes its sockets spread over at most this, ms"),
  DRAIN_TIMEOUT_MS: envNumber(0, 600_000).default(10_000).describe("Budget of a clean stop, ms"),
});
export type EdgeConfig = z.infer<typeof EdgeEnv>;

export function parseEdgeConfig(env: Env): EdgeConfig {
  return parseEnv(EdgeEnv, env);
}
