/** Real dependencies for tests and small helpers. Never imported by product code. */
export { endWithParent } from "@headwater/embedded";
export { type LlmBehaviour, type LlmServer, type LlmServerCall, type LlmServerOptions, startLlmServer } from "./llm-servers/llm-server.ts";
export { type MovableClock, movableClock } from "./movable-clock.ts";
export { collectingLogger, quietLogger } from "./quiet-logger.ts";
export { startNats, type TestNats } from "./start-nats.ts";
export { createDatabase, startPostgres, type TestPostgres } from "./start-postgres.ts";
export { makeTempDir } from "./temp-dir.ts";
export { until } from "./until.ts";
export {
  startUpstream,
  type UpstreamBehaviour,
  type UpstreamConnection,
  type UpstreamHttpAnswer,
  type UpstreamHttpRequest,
  type UpstreamOptions,
  type UpstreamServer,
} from "./upstream-server.ts";
