/**
 * One WebSocket to an upstream: checked and pinned address, handshake within 10 s, opening messages in order, keepalive, bounded frames
 * (also after decompression). Redirects are not followed. Tests: websocket-connector.int.test.ts.
 */
import { connect as connectNet, isIP, type LookupFunction } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Duplex } from "node:stream";
import { MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { type ClientOptions, WebSocket } from "ws";
import { type Connection, type ConnectionEvents, type ConnectionSpec, type Connector, HANDSHAKE_TIMEOUT_MS } from "./connector.ts";
import type { OutboundGuard, OutboundTarget } from "./outbound-guard.ts";

/** How a protocol on top of WebSocket differs; all optional. */
export interface WebSocketProtocol {
  /** Changes the URL to connect to. */
  address?(url: URL): URL;
  /** Called with each text message; sends through the second argument, hands out messages through the third. */
  onText?(text: string, send: (text: string) => void, events: ConnectionEvents): void;
  /** The protocol says itself when it is open: `onOpen` is not called by the transport, and no opening messages are sent by it. */
  opensItself?: boolean;
}

export function createWebSocketConnector(spec: ConnectionSpec, guard: OutboundGuard, protocol: () => WebSocketProtocol = plain): Connector {
  return { open: (events) => new Link(spec, guard, protocol(), events) };
}

const plain = (): WebSocketProtocol => ({});
/** Named by users for the upstream; what belongs to the handshake itself stays ours. */
const RESERVED_HEADERS = /^(host|connection|upgrade|content-length|transfer-encoding|sec-websocket-(?!protocol$).*)$/i;

class Link implements Connection {
  readonly #spec: ConnectionSpec;
  readonly #events: ConnectionEvents;
  readonly #protocol: WebSocketProtocol;
  readonly #timers = new Set<NodeJS.Timeout>();
  /** For the protocol on top: its end is the connection's end. */
  readonly #forwarded: ConnectionEvents;
  #ws: WebSocket | undefined;
  #isOver = false;
  #lastSeenAt = 0;

  constructor(spec: ConnectionSpec, guard: OutboundGuard, protocol: WebSocketProtocol, events: ConnectionEvents) {
    this.#spec = spec;
    this.#events = events;
    this.#protocol = protocol;
    this.#forwarded = {
      onOpen: () => events.onOpen(),
      onFrame: (data, isBinary) => events.onFrame(data, isBinary),
      onDropped: (reason) => events.onDropped(reason),
      onNoise: () => events.onNoise(),
      onEnd: (error, isFault) => this.#end(error, isFault),
    };
    this.#later(HANDSHAKE_TIMEOUT_MS, () => this.#end("handshake timed out"));
    guard
      .resolve(spec.url, spec.connectionType)
      .then(
        (target) => this.#connect(target),
        (error: unknown) => this.#end(error instanceof Error ? error.message : "url is invalid"),
      )
      // One feed's settings can end one feed's connection, never the process.
      .catch((error: unknown) => this.#end(describe(error instanceof Error ? error : new Error("cannot connect")), true));
  }

  pause(): void {
    this.#ws?.pause();
  }

  resume(): void {
    // What waited unread was our choice, not silence.
    this.#lastSeenAt = performance.now();
    this.#ws?.resume();
  }

  close(): Promise<void> {
    this.#isOver = true;
    this.#clear();
    const ws = this.#ws;
    if (ws === undefined || ws.readyState === WebSocket.CLOSED) return Promise.resolve();
    const closed = new Promise<void>((resolve) => ws.once("close", () => resolve()));
    if (ws.readyState === WebSocket.OPEN) {
      ws.close(1000);
      // Not every upstream answers a close, and a paused socket would not see it.
      ws.resume();
      this.#later(CLOSE_GRACE_MS, () => ws.terminate());
    } else ws.terminate();
    return closed;
  }

  #connect(target: OutboundTarget): void {
    if (this.#isOver) return;
    const ws = this.#dial(target);
    if (ws === undefined) return;
    this.#ws = ws;
    ws.on("open", () => this.#opened(ws));
    ws.on("message", (data, isBinary) => {
      this.#lastSeenAt = performance.now();
      // `nodebuffer` is the binary type: a message is one buffer.
      if (!this.#isOver) this.#received(data as Buffer, isBinary);
    });
    ws.on("pong", () => {
      this.#lastSeenAt = performance.now();
    });
    ws.on("ping", () => {
      this.#lastSeenAt = performance.now();
      if (!this.#isOver) this.#events.onNoise();
    });
    ws.on("error", (error: NodeJS.ErrnoException) => {
      if (!this.#isOver && error.code !== undefined && TOO_LARGE.includes(error.code)) this.#events.onDropped("size");
      this.#end(describe(error), error.code?.startsWith("WS_ERR") === true);
    });
    ws.on("close", (code) => {
      this.#end(code === 1006 ? "connection lost" : `closed by the upstream (${code})`);
      this.#clear();
    });
  }

  #dial(target: OutboundTarget): WebSocket | undefined {
    const url = withQuery(target.url, this.#spec.secrets.queryParams);
    const { headers, protocols } = headersOf(this.#spec.secrets.headers);
    const { lookup } = target;
    const dial = url.protocol === "wss:" || url.protocol === "https:" ? dialTls : dialNet;
    // The declared type of `createConnection` is that of a bare `net.connect`; what is called has the options of the request.
    const createConnection = ((options: DialOptions) => dial(options, lookup)) as unknown as NonNullable<ClientOptions["createConnection"]>;
    try {
      return new WebSocket(this.#protocol.address?.(url) ?? url, protocols, {
        // Arrays are repeated headers to `http.request`; the type of this client knows one value only.
        headers: headers as unknown as Record<string, string>,
        createConnection,
        followRedirects: false,
        maxPayload: MAX_UPSTREAM_MESSAGE_BYTES,
        perMessageDeflate: { clientNoContextTakeover: true },
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      });
    } catch (error) {
      // A header or subprotocol that HTTP does not allow.
      this.#end(describe(error instanceof Error ? error : new Error("cannot connect")));
      return undefined;
    }
  }

  #opened(ws: WebSocket): void {
    if (this.#isOver) return;
    this.#clear();
    this.#lastSeenAt = performance.now();
    this.#watch(ws);
    if (this.#protocol.opensItself === true) return;
    this.#events.onOpen();
    const { connectionMessage } = this.#spec.secrets;
    const first = connectionMessage === undefined || connectionMessage === "" ? [] : [connectionMessage];
    this.#greet(ws, [...first, ...this.#spec.connectionMessages]);
  }

  #greet(ws: WebSocket, messages: readonly string[]): void {
    const [next, ...rest] = messages;
    if (next === undefined || this.#isOver) return;
    ws.send(next, (error) => {
      if (error) this.#end("an opening message could not be sent");
    });
    const pause = this.#spec.connectionMessageDelayMs;
    if (pause > 0 && rest.length > 0) this.#later(pause, () => this.#greet(ws, rest));
    else this.#greet(ws, rest);
  }

  /** Pings, and ends a connection on which nothing came for the read timeout. */
  #watch(ws: WebSocket): void {
    const { pingIntervalMs, readTimeoutMs } = this.#spec;
    const ping = (): void => {
      if (ws.readyState === WebSocket.OPEN) ws.ping();
      this.#later(pingIntervalMs, ping);
    };
    this.#later(pingIntervalMs, ping);
    const check = (hasRead: boolean): void => {
      if (ws.isPaused) this.#lastSeenAt = performance.now();
      const leftMs = readTimeoutMs - (performance.now() - this.#lastSeenAt);
      if (leftMs > 0) return this.#later(leftMs, () => check(false));
      if (hasRead) return this.#end("nothing received in time");
      // Timers are due before what arrived meanwhile is read: a process that was held up must not take its own delay for silence.
      setImmediate(() => {
        if (!this.#isOver) check(true);
      });
    };
    this.#later(readTimeoutMs, () => check(false));
  }

  #received(data: Buffer, isBinary: boolean): void {
    if (this.#protocol.onText === undefined) return this.#events.onFrame(data, isBinary);
    // Attachments of events that were dropped when they were announced.
    if (isBinary) return this.#events.onNoise();
    this.#protocol.onText(data.toString(), (text) => this.#ws?.send(text), this.#forwarded);
  }

  #end(error: string, isFault = false): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#clear();
    this.#ws?.terminate();
    this.#events.onEnd(error, isFault);
  }

  #later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }

  #clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

interface DialOptions {
  host: string;
  port: number;
}

function dialNet({ host, port }: DialOptions, lookup: LookupFunction): Duplex {
  return connectNet({ host, port: Number(port), lookup });
}

/** The certificate must be of the name in the URL, whatever address it was pinned to. */
function dialTls({ host, port }: DialOptions, lookup: LookupFunction): Duplex {
  return connectTls({ host, port: Number(port), lookup, servername: isIP(host) === 0 ? host : "", ALPNProtocols: ["http/1.1"] });
}

const CLOSE_GRACE_MS = 400;
const TOO_LARGE = ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", "WS_ERR_TOO_MANY_BUFFERED_PARTS"];

/** Overwrites members of the same name; pairs without a name are skipped. */
export function withQuery(url: URL, pairs: readonly { key: string; value: string }[]): URL {
  const result = new URL(url);
  for (const { key, value } of pairs) if (key.trim() !== "") result.searchParams.set(key, value);
  return result;
}

/** Repeated names travel as repeated headers; subprotocols are an argument of the handshake. */
export function headersOf(pairs: readonly { key: string; value: string }[]): { headers: Record<string, string[]>; protocols: string[] } {
  // A map: a header may be called `constructor` or `__proto__`.
  const headers = new Map<string, string[]>();
  const protocols: string[] = [];
  for (const { key, value } of pairs) {
    const name = key.trim();
    if (name === "" || RESERVED_HEADERS.test(name)) continue;
    if (name.toLowerCase() === "sec-websocket-protocol") protocols.push(...value.split(",").map((part) => part.trim()));
    else headers.set(name, [...(headers.get(name) ?? []), value]);
  }
  return { headers: Object.fromEntries(headers), protocols };
}

/** Node's texts name addresses and ports of the operator's network: only their codes travel. */
export function describe(error: Error): string {
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  if (code === "WS_ERR_TOO_MANY_BUFFERED_PARTS") return "a message has too many fragments";
  if (TOO_LARGE.includes(code)) return `a message is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`;
  if (code === "WS_ERR_INVALID_UTF8") return "a text message is not UTF-8";
  if (code.startsWith("WS_ERR")) return "the upstream broke the WebSocket protocol";
  const status = /^Unexpected server response: (\d{3})$/.exec(error.message)?.[1];
  if (status !== undefined) return `handshake was answered with ${status}`;
  return code === "" ? "connection failed" : `connection failed (${code})`;
}
