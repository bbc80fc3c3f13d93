/**
 * An upstream of somebody else for tests: WebSocket and HTTP on one loopback port, behaving well or as badly as asked, per path. Records
 * connections and what they sent, so that "connected exactly once" can be asserted. A Socket.IO server attaches to `server`.
 * Tests: upstream-server.int.test.ts.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";

/** What one WebSocket path does; everything is optional and adds up. */
export interface UpstreamBehaviour {
  /** Frames sent to each new connection in order; a buffer goes as a binary frame. */
  frames?: readonly (string | Uint8Array)[] | undefined;
  /** Frames (and badness) start when the client has sent this many messages. Default 0. */
  afterMessages?: number | undefined;
  /** Pause between `frames`, ms. Default 0: as fast as the client reads. */
  everyMs?: number | undefined;
  /** `frames` begin again when they end. */
  repeat?: boolean | undefined;
  /** Drops the TCP connection this long after it opened, ms. */
  flapMs?: number | undefined;
  /** The same small frame without end: this many a second, or as fast as the client reads. */
  flood?: { frame?: string | undefined; perSecond?: number | undefined } | undefined;
  /** One frame of this many bytes, announced as such. */
  hugeBytes?: number | undefined;
  /** A text message in fragments of this many bytes that never ends. */
  endlessFragments?: number | undefined;
  /** A text frame that is not UTF-8. */
  invalidUtf8?: boolean | undefined;
  /** Never answers a ping and never sends one. */
  silent?: boolean | undefined;
  /** Answers the handshake with this HTTP status, or cuts the TCP connection (`"cut"`). */
  refuse?: number | "cut" | undefined;
  handshakeDelayMs?: number | undefined;
  /** Answers the handshake with 302 to this address. */
  redirectTo?: string | undefined;
  /** Close code sent right after `frames`. */
  closeWith?: number | undefined;
  /** Offers permessage-deflate. Default off. */
  deflate?: boolean | undefined;
}

export interface UpstreamHttpAnswer {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  delayMs?: number;
}

export interface UpstreamConnection {
  readonly id: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Text messages of the client, in order. */
  readonly messages: string[];
  readonly openedAt: number;
  readonly pings: number;
  /** Frames of its behaviour's list and of `send` so far. */
  readonly sent: number;
  readonly isOpen: boolean;
  /** How the client's close looked; undefined while open. */
  readonly closeCode: number | undefined;
  send(frame: string | Uint8Array): void;
  terminate(): void;
}

export interface UpstreamHttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface UpstreamOptions {
  /** For every path without its own behaviour. */
  behaviour?: UpstreamBehaviour;
  http?: (request: UpstreamHttpRequest) => UpstreamHttpAnswer | Promise<UpstreamHttpAnswer>;
  port?: number;
}

export interface UpstreamServer {
  readonly port: number;
  /** `127.0.0.1:<port>`: entry of `UPSTREAM_ALLOWED_HOSTS`. */
  readonly host: string;
  /** `ws://127.0.0.1:<port>` without path. */
  readonly url: string;
  readonly httpUrl: string;
  readonly server: Server;
  /** All connections that ever were, or those of one path (query not counted), oldest first. */
  connections(path?: string): UpstreamConnection[];
  open(path?: string): UpstreamConnection[];
  /** Greatest number of connections a path had at once. */
  mostAtOnce(path: string): number;
  /** Handshakes seen, refused ones included. */
  attempts(path?: string): number;
  requests(path?: string): UpstreamHttpRequest[];
  /** Sets the behaviour of a path for connections from now on. */
  behave(path: string, behaviour: UpstreamBehaviour): void;
  /** To every open connection (of one path). */
  send(frame: string | Uint8Array, path?: string): void;
  /** Cuts every open connection (of one path). */
  cut(path?: string): void;
  stop(): Promise<void>;
}

const HIGH_WATER_BYTES = 256 * 1024;
const FLOOD_TICK_MS = 10;
/** What a held up flood makes up for at most: all of it at once would hold up the process again, and longer. */
const FLOOD_DEBT_MS = 10 * FLOOD_TICK_MS;
const CHUNK = new Uint8Array(64 * 1024).fill(0x61);

class Connection implements UpstreamConnection {
  readonly id: number;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly messages: string[] = [];
  readonly openedAt = Date.now();
  pings = 0;
  sent = 0;
  isOpen = true;
  closeCode: number | undefined;
  readonly #ws: WebSocket;
  readonly #socket: Duplex;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(id: number, path: string, request: IncomingMessage, ws: WebSocket, socket: Duplex) {
    this.id = id;
    this.path = path;
    this.headers = request.headers;
    this.#ws = ws;
    this.#socket = socket;
  }

  start(behaviour: UpstreamBehaviour): void {
    const after = behaviour.afterMessages ?? 0;
    let hasPlayed = false;
    const play = (): void => {
      if (hasPlayed || this.messages.length < after) return;
      hasPlayed = true;
      void this.#play(behaviour);
    };
    this.#ws.on("message", (data) => {
      this.messages.push(String(data));
      play();
    });
    this.#ws.on("ping", () => this.pings++);
    // A client that refuses what we send breaks the connection; `close` tells it.
    this.#ws.on("error", () => undefined);
    this.#ws.on("close", (code) => {
      this.isOpen = false;
      this.closeCode = code;
      for (const timer of this.#timers) clearTimeout(timer);
    });
    if (behaviour.flapMs !== undefined) this.#later(behaviour.flapMs, () => this.terminate());
    play();
  }

  send(frame: string | Uint8Array): void {
    if (!this.isOpen) return;
    this.sent++;
    this.#ws.send(frame, { binary: typeof frame !== "string" });
  }

  terminate(): void {
    this.#ws.terminate();
  }

  #later(ms: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, ms);
    this.#timers.add(timer);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#later(ms, resolve));
  }

  /** Until the client has read most of what is on its way. */
  async #room(): Promise<void> {
    while (this.isOpen && (this.#ws.bufferedAmount > HIGH_WATER_BYTES || this.#socket.writableLength > HIGH_WATER_BYTES))
      await this.#pause(5);
  }

  async #play(behaviour: UpstreamBehaviour): Promise<void> {
    do {
      for (const frame of behaviour.frames ?? []) {
        await this.#room();
        if (!this.isOpen) return;
        this.send(frame);
        if (behaviour.everyMs !== undefined) await this.#pause(behaviour.everyMs);
      }
    } while (behaviour.repeat === true && this.isOpen && (behaviour.frames?.length ?? 0) > 0);
    if (behaviour.invalidUtf8 === true) this.#ws.send(Buffer.from([0x7b, 0xff, 0xfe, 0xfd]), { binary: false });
    if (behaviour.hugeBytes !== undefined) await this.#huge(behaviour.hugeBytes);
    if (behaviour.endlessFragments !== undefined) await this.#fragments(behaviour.endlessFragments);
    if (behaviour.flood !== undefined) await this.#flood(behaviour.flood);
    if (behaviour.closeWith !== undefined && this.isOpen) this.#ws.close(behaviour.closeWith);
  }

  /** Written by hand: the sender needs no memory for it, and a receiver may refuse at the header. */
  async #huge(bytes: number): Promise<void> {
    const header = Buffer.alloc(10);
    header[0] = 0x81;
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(bytes), 2);
    this.#socket.write(header);
    for (let left = bytes; left > 0 && this.isOpen; left -= CHUNK.length) {
      await this.#room();
      if (this.isOpen) this.#socket.write(left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK);
    }
  }

  async #fragments(bytes: number): Promise<void> {
    const fragment = "a".repeat(bytes);
    const atOnce = Math.ceil(HIGH_WATER_BYTES / Math.max(bytes, 256));
    while (this.isOpen) {
      await this.#room();
      for (let i = 0; i < atOnce && this.isOpen; i++) this.#ws.send(fragment, { fin: false });
      await this.#pause(0);
    }
  }

  async #flood(flood: NonNullable<UpstreamBehaviour["flood"]>): Promise<void> {
    const frame = flood.frame ?? '{"type":"flood"}';
    let at = performance.now();
    let due = 0;
    while (this.isOpen) {
      await this.#room();
      const now = performance.now();
      if (flood.perSecond === undefined) due = 1_000;
      else due += (Math.min(now - at, FLOOD_DEBT_MS) / 1_000) * flood.perSecond;
      at = now;
      for (; due >= 1 && this.isOpen; due--) this.#ws.send(frame);
      await this.#pause(flood.perSecond === undefined ? 0 : FLOOD_TICK_MS);
    }
  }
}

/** Starts listening on 127.0.0.1 (a free port unless given); nothing else is needed. */
export async function startUpstream(options: UpstreamOptions = {}): Promise<UpstreamServer> {
  const connections: Connection[] = [];
  const requests: UpstreamHttpRequest[] = [];
  const handshakes: string[] = [];
  const behaviours = new Map<string, UpstreamBehaviour>();
  const most = new Map<string, number>();
  const waiting = new Set<NodeJS.Timeout>();
  /** Also those in the middle of a handshake, which the HTTP server forgets about. */
  const sockets = new Set<Socket>();
  const later = (ms: number, run: () => void): void => {
    if (ms <= 0) return run();
    const timer = setTimeout(() => {
      waiting.delete(timer);
      run();
    }, ms);
    waiting.add(timer);
  };

  const server = createServer((req, res) => void answer(req, res));
  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(Buffer.from(chunk as Uint8Array));
    const seen = { method: req.method ?? "", path: req.url ?? "/", headers: req.headers, body: Buffer.concat(chunks).toString() };
    requests.push(seen);
    const reply = (await options.http?.(seen)) ?? { status: 404 };
    later(reply.delayMs ?? 0, () => {
      res.writeHead(reply.status ?? 200, { "content-type": "application/json", ...reply.headers });
      res.end(reply.body ?? "");
    });
  }

  const acceptorOf = (behaviour: UpstreamBehaviour): WebSocketServer =>
    new WebSocketServer({
      noServer: true,
      perMessageDeflate: behaviour.deflate === true ? { threshold: 0 } : false,
      autoPong: behaviour.silent !== true,
      maxPayload: 8 * 1024 * 1024,
    });

  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("upgrade", (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    const path = pathOf(req.url ?? "/");
    // A Socket.IO server attached to `server` answers its own handshakes.
    if (path.startsWith("/socket.io")) return;
    handshakes.push(path);
    const behaviour = behaviours.get(path) ?? options.behaviour ?? {};
    socket.on("error", () => socket.destroy());
    later(behaviour.handshakeDelayMs ?? 0, () => {
      if (behaviour.refuse === "cut") return void socket.destroy();
      if (behaviour.refuse !== undefined)
        return void socket.end(`HTTP/1.1 ${behaviour.refuse} Refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      if (behaviour.redirectTo !== undefined) {
        return void socket.end(`HTTP/1.1 302 Found\r\nLocation: ${behaviour.redirectTo}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      }
      acceptorOf(behaviour).handleUpgrade(req, socket, head, (ws) => {
        const connection = new Connection(connections.length + 1, path, req, ws, socket);
        connections.push(connection);
        const now = connections.filter((other) => other.isOpen && other.path === path).length;
        most.set(path, Math.max(most.get(path) ?? 0, now));
        connection.start(behaviour);
      });
    });
  });

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  const of = (path?: string): Connection[] =>
    path === undefined ? [...connections] : connections.filter((connection) => connection.path === path);
  const open = (path?: string): Connection[] => of(path).filter((connection) => connection.isOpen);

  return {
    port,
    host: `127.0.0.1:${port}`,
    url: `ws://127.0.0.1:${port}`,
    httpUrl: `http://127.0.0.1:${port}`,
    server,
    connections: of,
    open,
    mostAtOnce: (path) => most.get(path) ?? 0,
    attempts: (path) => (path === undefined ? handshakes.length : handshakes.filter((seen) => seen === path).length),
    requests: (path) => (path === undefined ? [...requests] : requests.filter((request) => pathOf(request.path) === path)),
    behave: (path, behaviour) => void behaviours.set(path, behaviour),
    send: (frame, path) => {
      for (const connection of open(path)) connection.send(frame);
    },
    cut: (path) => {
      for (const connection of open(path)) connection.terminate();
    },
    async stop() {
      for (const timer of waiting) clearTimeout(timer);
      for (const connection of open()) connection.terminate();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function pathOf(url: string): string {
  return new URL(url, "http://upstream").pathname;
}
