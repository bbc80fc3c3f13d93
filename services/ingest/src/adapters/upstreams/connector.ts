/**
 * What every kind of upstream looks like to the feed that owns it: one attempt to connect, frames, one end. Connectors know nothing of the
 * log, of limits or of reconnecting. Implementations: websocket-connector.ts, socketio-connector.ts, http-poller.ts.
 */
import type { FeedRecord, FeedSecrets } from "@headwater/protocol";
import type { DropReason } from "../../domain/upstream-message.ts";

/** Everything an attempt needs; a test of a feed that is not stored yet has the same. */
export type ConnectionSpec = Pick<
  FeedRecord,
  | "connectionType"
  | "url"
  | "eventName"
  | "connectionMessages"
  | "connectionMessageDelayMs"
  | "dataFormat"
  | "protobufType"
  | "protobufSchema"
  | "pingIntervalMs"
  | "readTimeoutMs"
> & { secrets: FeedSecrets };

export interface ConnectionEvents {
  /** Connected and told what to send. At most once. */
  onOpen(): void;
  /** One message as received. */
  onFrame(data: Buffer | string, isBinary: boolean): void;
  /** A message that the connector itself could not use. */
  onDropped(reason: DropReason): void;
  /** Something that is no message but took work (a ping): counts against the budget. */
  onNoise(): void;
  /**
   * Exactly once, the last event; not called after `close()`. `error` is fit for the feed's owner. `isFault`: we ended it, because of what the
   * upstream sent.
   */
  onEnd(error: string, isFault?: boolean): void;
}

export interface Connection {
  /** Stops reading until `resume`; the other side is slowed down by TCP. */
  pause(): void;
  resume(): void;
  /** Ends it; no event follows. Resolves when the other side cannot see it any more, within half a second. */
  close(): Promise<void>;
}

/** A way to reach one upstream; keeps what must survive a reconnect. */
export interface Connector {
  open(events: ConnectionEvents): Connection;
}

export const HANDSHAKE_TIMEOUT_MS = 10_000;
