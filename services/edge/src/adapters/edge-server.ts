/**
 * The HTTP side of every surface: asks the gate, answers or upgrades, then keeps one WsConnection and one session per socket, swept by the
 * shared wheel. Owns drain. Tests: handshake.int.test.ts, protocol-fuzz.int.test.ts.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock, Logger } from "@headwater/runtime";
import { Router } from "express";
import { type ServerOptions, WebSocket, WebSocketServer } from "ws";
import { TokenBucket } from "../domain/token-bucket.ts";
import type { Admission, Session, Surface } from "../surface.ts";
import type { Telemetry } from "../telemetry.ts";
import { type GateLimits, HandshakeGate } from "./handshake-gate.ts";
import { answerRefusal, refuseUpgrade } from "./http-refusal.ts";
import type { QueueBudget } from "./queue-budget.ts";
import { encodeFrame, OP_PONG } from "./rfc6455.ts";
import type { Swept, SweepWheel } from "./sweep-wheel.ts";
import { type ConnectionTotals, WsConnection } from "./ws-connection.ts";

export interface EdgeServerOptions {
  surfaces: readonly Surface[];
  budget: QueueBudget;
  wheel: SweepWheel;
  clock: Clock;
  log: Logger;
  telemetry: Telemetry;
  totals: ConnectionTotals;
  clientAddress: (req: IncomingMessage) => string;
  clientScheme: (req: IncomingMessage) => "http" | "https";
  limits: GateLimits;
  /** A socket was opened or closed. */
  onChange: () => void;
}

/** Reasons for the closes `ws` does by itself. */
const PROTOCOL_REASONS: Readonly<Record<number, string>> = {
  1002: "protocol_error",
  1003: "unsupported_data",
  1007: "invalid_utf8",
  1008: "policy_violation",
  1009: "message_too_big",
};

class ReasonedSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? (code === undefined ? undefined : PROTOCOL_REASONS[code]));
  }
}

/** A socket per so many ms while draining: few sockets are gone at once, many are spread over the whole time. */
const DRAIN_PACE_MS = 50;
const DRAIN_GRACE_MS = 2_000;

interface OpenSocket extends Swept {
  connection: WsConnection;
  session: Session;
  socket: WebSocket;
}

export class EdgeServer {
  readonly router = Router();
  readonly #o: EdgeServerOptions;
  readonly #gate: HandshakeGate;
  readonly #servers = new Map<Surface, WebSocketServer>();
  readonly #open = new Map<Surface, Set<OpenSocket>>();
  #isDraining = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: EdgeServerOptions) {
    this.#o = options;
    this.#gate = new HandshakeGate({ ...options, socketCount: () => this.socketCount, isDraining: () => this.#isDraining });
    for (const surface of options.surfaces) {
      this.#open.set(surface, new Set());
      this.#servers.set(surface, this.#createServer(surface));
      this.router.all([...surface.paths], (req, res) => {
        void this.#gate.decide(surface, req, false).then((admission) => {
          if (admission.ok) admission.abandon();
          answerRefusal(req, res, admission.ok ? { code: "upgrade_required" } : admission.refusal, surface.envelope);
        });
      });
    }
  }

  get socketCount(): number {
    let count = 0;
    for (const sockets of this.#open.values()) count += sockets.size;
    return count;
  }

  socketsBySurface(): Record<string, number> {
    return Object.fromEntries([...this.#open].map(([surface, sockets]) => [surface.name, sockets.size]));
  }

  readonly upgrade = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const stopGuarding = guard(socket);
    const path = pathOf(req);
    const surface = this.#o.surfaces.find((candidate) => candidate.paths.includes(path));
    if (!surface) return refuseUpgrade(req, socket, { code: "not_found" });
    this.#gate
      .decide(surface, req, true)
      .then((admission) => {
        if (!admission.ok) return refuseUpgrade(req, socket, admission.refusal, surface.envelope);
        stopGuarding();
        return this.#accept(surface, admission, req, socket, head);
      })
      .catch((error: unknown) => {
        this.#o.log.error({ err: error, surface: surface.name }, "socket.open_failed");
        socket.destroy();
      });
  };

  /** Tells every socket, closes them spread over `spreadMs`, resolves when all are gone. New ones are refused from now on. */
  async drain(spreadMs: number): Promise<void> {
    this.#isDraining = true;
    const sockets = [...this.#open].flatMap(([surface, open]) => [...open].map((socket) => ({ surface, ...pick(socket) })));
    const spread = Math.min(spreadMs, sockets.length * DRAIN_PACE_MS);
    const empty = this.socketCount === 0 ? Promise.resolve() : new Promise<void>((resolve) => (this.#onEmpty = resolve));
    sockets.forEach(({ surface, session, connection }, index) => {
      const closesInMs = Math.round((spread * index) / sockets.length);
      session.onDrain(closesInMs);
      setTimeout(() => connection.close(surface.closes.draining), closesInMs);
    });
    const overdue = setTimeout(() => {
      for (const open of this.#open.values()) for (const { socket } of open) socket.terminate();
    }, spread + DRAIN_GRACE_MS);
    await empty;
    clearTimeout(overdue);
  }

  #createServer(surface: Surface): WebSocketServer {
    // The two fragment limits are known to ws 8.23, not yet to its type package.
    const options: ServerOptions<typeof ReasonedSocket> & { maxFragments: number; maxBufferedChunks: number } = {
      noServer: true,
      maxFragments: 64,
      // A frame may come in segments of a few hundred bytes.
      maxBufferedChunks: Math.max(256, Math.ceil(surface.limits.maxInboundBytes / 256)),
      WebSocket: ReasonedSocket,
      perMessageDeflate: false,
      clientTracking: false,
      maxPayload: surface.limits.maxInboundBytes,
      // Pongs go through our own writer, so that a flood of pings is counted and queued like everything else.
      autoPong: false,
      handleProtocols: (offered) => (surface.subprotocol !== undefined && offered.has(surface.subprotocol) ? surface.subprotocol : false),
    };
    const server = new WebSocketServer(options);
    server.on("wsClientError", (error, socket, req) => {
      refuseUpgrade(req, socket, { code: "invalid_request", message: error.message }, surface.envelope);
    });
    return server;
  }

  #accept(surface: Surface, admission: Admission & { ok: true }, req: IncomingMessage, raw: Duplex, head: Buffer): void {
    if (this.#isDraining) {
      admission.abandon();
      return refuseUpgrade(req, raw, { code: "draining", headers: { "Retry-After": "1" } }, surface.envelope);
    }
    const address = this.#o.clientAddress(req);
    let isOpened = false;
    this.#servers.get(surface)?.handleUpgrade(req, raw, head, (socket) => {
      isOpened = true;
      this.#opened(surface, admission, socket, raw, address);
    });
    // `ws` answers synchronously; without the callback the handshake was malformed or the client is gone.
    if (!isOpened) admission.abandon();
  }

  #opened(surface: Surface, admission: Admission & { ok: true }, socket: WebSocket, raw: Duplex, address: string): void {
    const { clock, telemetry } = this.#o;
    const { limits } = surface;
    const openedAtMs = clock.monotonicMs();
    const connection = new WsConnection({
      socket,
      raw,
      budget: this.#o.budget,
      limits,
      terminateAfterMs: limits.terminateAfterMs,
      slow: surface.closes.slow,
      monotonicMs: () => clock.monotonicMs(),
      totals: this.#o.totals,
    });
    const session = admission.open(connection);
    const open: OpenSocket = {
      connection,
      session,
      socket,
      sweep(nowMs) {
        connection.checkProgress(nowMs);
        if (connection.isOpen) session.sweep(nowMs);
      },
    };
    this.#open.get(surface)?.add(open);
    this.#o.wheel.add(open);
    this.#gate.countAddress(address, 1);
    telemetry.socketOpened(surface.name);
    this.#o.onChange();

    const bucket = new TokenBucket(limits.inboundPerSecond, openedAtMs, limits.inboundBurst);
    /** Counts an inbound message; false when it is one too many. */
    const admitInbound = (): boolean => {
      const now = clock.monotonicMs();
      session.onInbound(now);
      if (bucket.take(now)) return true;
      session.onFlood();
      return false;
    };
    socket.on("message", (data, isBinary) => {
      if (!connection.isOpen || !admitInbound()) return;
      if (isBinary) session.onBinary();
      // With the default binaryType a text message is one Buffer.
      else session.onText(String(data));
    });
    socket.on("ping", (data) => {
      if (connection.isOpen && admitInbound()) connection.sendFrame(encodeFrame(data, OP_PONG));
    });
    socket.on("pong", () => admitInbound());
    socket.on("error", (error) => this.#o.log.debug({ err: error, surface: surface.name }, "socket.error"));
    socket.on("close", (code) => {
      this.#o.wheel.delete(open);
      this.#gate.countAddress(address, -1);
      this.#open.get(surface)?.delete(open);
      session.onClosed();
      connection.released();
      const lastedMs = Math.round(clock.monotonicMs() - openedAtMs);
      const sent = { framesSent: connection.framesSent, bytesSent: connection.bytesSent, lastedMs };
      telemetry.socketClosed(surface.name, connection.closeSent?.code ?? code, sent);
      this.#o.onChange();
      if (this.socketCount === 0) this.#onEmpty?.();
    });
  }
}

function pick(open: OpenSocket): Pick<OpenSocket, "session" | "connection" | "socket"> {
  return { session: open.session, connection: open.connection, socket: open.socket };
}

/** Until somebody else listens: an error of a socket that waits for its answer ends that socket, not the process. */
function guard(socket: Duplex): () => void {
  // In a function of its own, so that the listener does not keep the request (and the key in its URL) alive.
  const onError = (): void => void socket.destroy();
  socket.on("error", onError);
  return () => socket.off("error", onError);
}

/** Without query and without a trailing slash, like the route table reads it. */
function pathOf(req: IncomingMessage): string {
  const path = (req.url ?? "/").split("?", 1)[0] ?? "/";
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}
