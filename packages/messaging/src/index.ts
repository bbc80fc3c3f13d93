/** Public surface: connection, publishes, group commit, ordered readers, streams, requests, registry, leases, dead letters. */
export {
  type ConnectionEvent,
  type Msg,
  type Nats,
  type NatsOptions,
  NoResponders,
  openNats,
  RequestTimeout,
  type Subscription,
} from "./connection.ts";
export { announceService, connectService } from "./connect-service.ts";
export { type CredentialClient, type CredentialClientOptions, createCredentialClient, type Verification } from "./credential-client.ts";
export { type DeadLetter, publishDeadLetter } from "./dead-letters.ts";
export { discoverServices, type ServiceInstance } from "./discovery.ts";
export {
  AppendError,
  type AppendErrorCode,
  createGroupCommit,
  type GroupCommit,
  type GroupCommitOptions,
  type GroupCommitStats,
} from "./group-commit.ts";
export { randomId } from "./ids.ts";
export { callLane, NOT_OWNER, notOwner, serveLaneRequests } from "./lane-requests.ts";
export {
  type BucketOptions,
  LaneCountMismatch,
  type LeaseBucket,
  type LeaseChange,
  openLeaseBucket,
  readLaneCount,
} from "./lease-bucket.ts";
export {
  createLlmClient,
  LLM_NOT_CONFIGURED,
  type LlmCallHooks,
  type LlmClient,
  type LlmClientOptions,
  type LlmOutcome,
  type LlmRequest,
  type LlmResult,
} from "./llm-client.ts";
export { LlmFailure, type LlmHandler, type LlmOut, type LlmServerOptions, type LlmServing, serveLlmCalls } from "./llm-server.ts";
export { createMessagePace, type MessagePace, type MessagePaceOptions } from "./message-pace.ts";
export { openPresence, type PresenceView } from "./presence-view.ts";
export {
  createPublisher,
  type PubAck,
  PublishError,
  type PublishErrorCode,
  type Publisher,
  type PublishOptions,
} from "./publisher.ts";
export { openReader, type Reader, type ReaderOptions, type ReadFrom, type ReadMessage } from "./reader.ts";
export { createRegistryStore, openRegistry, type OpenRegistryOptions, type RegistryView } from "./registry-view.ts";
export { RpcError, RpcUnavailable } from "./rpc-error.ts";
export { callService, type RpcHandler, serveRequests, type ServeOptions } from "./service.ts";
export type { SessionVerification } from "./session-client.ts";
export { createSharedLimiter, type SharedLimiter, type SharedLimiterOptions, type TokenRate } from "./shared-limiter.ts";
export {
  bindStreams,
  ensureStreams,
  getMessage,
  lastMessage,
  purgeStream,
  type StoredMessage,
  StreamMismatch,
  StreamMissing,
  type StreamState,
  streamState,
} from "./streams.ts";
