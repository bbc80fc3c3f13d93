/**
 * A wire contract on the edge. Everything a surface decides is one of six questions; sockets, queues, sweeps, resume and drain are shared.
 *   1. who may open            → `admit`
 *   2. what is said on open    → `Admission.open`
 *   3. what a message means    → `Session.onText`, `onBinary`
 *   4. which outputs go where  → the Subscriber (routing key + view) the session gives to its stream's hub
 *   5. how errors look         → `admit`'s refusal before the upgrade, the session's own frames after it
 *   6. its limits              → `SurfaceLimits`
 */
import type { Refusal } from "./domain/handshake.ts";
import type { QueueLimits } from "./domain/slow-reader.ts";
import type { CloseReason, WsConnection } from "./adapters/ws-connection.ts";

export interface HandshakeRequest {
  query: URLSearchParams;
  /** Offered subprotocols in order. */
  subprotocols: readonly string[];
  header(name: string): string | undefined;
  /** True when the connection can really be switched. */
  isUpgrade: boolean;
  /** The host the client asked for; used to build URLs in answers. */
  host: string;
  /** Scheme the client used, as far as a trusted proxy tells. */
  scheme: "http" | "https";
}

export type Admission =
  | { ok: false; refusal: Refusal }
  | {
      ok: true;
      /** After the 101. */
      open(connection: WsConnection): Session;
      /** The upgrade did not happen: gives back what was reserved. */
      abandon(): void;
    };

export interface Session {
  onText(text: string): void;
  onBinary(): void;
  /** More inbound messages than allowed. */
  onFlood(): void;
  /** Any sign of life: message, protocol ping or pong. */
  onInbound(nowMs: number): void;
  /** About once per sweep period. */
  sweep(nowMs: number): void;
  /** The process stops; the socket is closed `closesInMs` later. */
  onDrain(closesInMs: number): void;
  /** The socket is gone. */
  onClosed(): void;
}

export interface SurfaceLimits extends QueueLimits {
  maxInboundBytes: number;
  inboundPerSecond: number;
  /** Default: one second's worth. */
  inboundBurst?: number;
  /** Between the close frame to a stalled reader and destroying the socket. */
  terminateAfterMs: number;
}

export interface Surface {
  readonly name: string;
  /** Absolute paths of its WebSocket route. */
  readonly paths: readonly string[];
  /** Answered when the client offered it; nothing else a client offers is ever echoed. */
  readonly subprotocol: string | undefined;
  readonly limits: SurfaceLimits;
  /** How a refused handshake looks: `{"error","message"}` or `{"success":false,"message","code"}`. */
  readonly envelope: "signals" | "api";
  readonly closes: {
    slow: CloseReason;
    draining: CloseReason;
  };
  admit(request: HandshakeRequest): Promise<Admission>;
}
