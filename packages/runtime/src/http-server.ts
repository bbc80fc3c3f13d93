/**
 * HTTP listener of a process: mounts the routers of its services, passes upgrades by the route table, answers unknown paths as JSON.
 * A service's hottest paths may bypass Express. Express is set up without its body parsers: a route that reads a body bounds it itself. Tests: http-server.int.test.ts.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { ERRORS, type ErrorCode, routeOf } from "@headwater/protocol";
import express, { type NextFunction, type Request, type Response } from "express";
import { systemClock } from "./clock.ts";
import { errorBody, requestIdOf, sendErrorFor } from "./errors-http.ts";
import type { Logger } from "./logger.ts";
import { publicHealth, type SystemHealth, systemHealth } from "./public-health.ts";
import type { HealthReport, Service } from "./service.ts";

export interface HttpOptions {
  services: readonly Service[];
  host: string;
  port: number;
  log: Logger;
  /** What `GET /health` is made of: the whole system's, or the one service's own. */
  health: () => HealthReport | SystemHealth | Promise<HealthReport | SystemHealth>;
  tls?: { cert: string; key: string };
}

export interface HttpServer {
  port: number;
  url: string;
  /** Stops accepting and waits for open requests, which are cut `withinMs` later. What was upgraded is its service's to end. */
  close(withinMs: number): Promise<void>;
}

export async function listenHttp(options: HttpOptions): Promise<HttpServer> {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.set("case sensitive routing", true);
  app.get("/health", async (_req, res) => {
    const report = await options.health();
    const health = "instances" in report ? report : systemHealth({ [options.services[0]?.name ?? "none"]: report });
    res.status(health.status === "down" ? 503 : 200).json(publicHealth(health, systemClock.now()));
  });
  // By the route table, not by mounting order: a parameter of one service must not catch a fixed name of another.
  for (const service of options.services) {
    app.use((req: Request, res: Response, next: NextFunction) => {
      const owner = routeOf(req.path)?.owner;
      if (owner === undefined || owner === service.name) service.router(req, res, next);
      else next();
    });
  }
  app.use((req: Request, res: Response) => sendErrorFor(res, req.path, "not_found", { message: `No route for ${req.method} ${req.path}` }));
  app.use((error: unknown, req: Request, res: Response, _next: NextFunction) => {
    // Express hands over URIError for a broken percent escape in the path; anything else is ours.
    if (error instanceof URIError || (error as { status?: unknown }).status === 400) return sendErrorFor(res, req.path, "invalid_request");
    unhandled(options.log, error, req, res);
  });

  const limits = {
    headersTimeout: 5_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 72_000,
    maxHeaderSize: 16_384,
    shouldUpgradeCallback: asksForWebSocket,
  };
  const listener = directFirst(options, app);
  const server: Server = options.tls ? createTlsServer({ ...limits, ...options.tls }, listener) : createServer(limits, listener);
  const open = new Set<Duplex>();
  const waiting = new Set<() => void>();
  const left = (socket: Duplex): void => {
    open.delete(socket);
    if (open.size === 0) for (const done of waiting) done();
  };
  server.on(options.tls ? "secureConnection" : "connection", (socket: Duplex) => {
    open.add(socket);
    socket.once("close", () => left(socket));
  });
  server.on("upgrade", (req, socket: Duplex, head: Buffer) => {
    // The listener closes before its services do, and waits only for requests: a socket leaves when its service drains.
    left(socket);
    const owner = routeOf(pathOf(req.url ?? "/"));
    const service = owner && options.services.find((s) => s.name === owner.owner && s.upgrade);
    if (owner?.kind === "websocket" && service?.upgrade) return service.upgrade(req, socket, head);
    return rejectUpgrade(socket, "not_found", requestIdOf(req));
  });
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    else socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // A TCP listener's address is an object; only pipes have a string.
  const { port } = server.address() as AddressInfo;
  const shownHost = options.host.includes(":") ? `[${options.host}]` : options.host === "0.0.0.0" ? "127.0.0.1" : options.host;
  return {
    port,
    url: `${options.tls ? "https" : "http"}://${shownHost}:${port}`,
    close: (withinMs) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), withinMs);
        cut.unref();
        const done = (): void => {
          clearTimeout(cut);
          waiting.delete(done);
          resolve();
        };
        waiting.add(done);
        server.close();
        server.closeIdleConnections();
        if (open.size === 0) done();
      }),
  };
}

/** Express walks its routes and swaps the prototypes of both objects, which costs as much as the rest of a small request. */
function directFirst(options: HttpOptions, app: RequestListener): RequestListener {
  const direct = new Map(options.services.flatMap((service) => [...(service.direct ?? [])]));
  if (direct.size === 0) return app;
  return (req, res) => {
    const handler = direct.get(pathOf(req.url ?? "/"));
    if (!handler) return app(req, res);
    handler(req, res).catch((error: unknown) => unhandled(options.log, error, req, res));
  };
}

/** Clients that offer another protocol (HTTP/2 libraries send `Upgrade: h2c` with any request) mean the request itself: it is answered as such. */
export function asksForWebSocket(req: IncomingMessage): boolean {
  return /\bwebsocket\b/i.test(req.headers.upgrade ?? "");
}

function unhandled(log: Logger, error: unknown, req: IncomingMessage, res: ServerResponse): void {
  log.error({ err: error, method: req.method, path: pathOf(req.url ?? "/") }, "http.unhandled");
  sendErrorFor(res, pathOf(req.url ?? "/"), "internal");
}

function pathOf(url: string): string {
  const mark = url.indexOf("?");
  return mark === -1 ? url : url.slice(0, mark);
}

/** How long a refused caller may take to read why. */
const LINGER_MS = 2_000;

/** A plain HTTP answer on a socket that asked for an upgrade, then the socket is closed. */
export function rejectUpgrade(socket: Duplex, code: ErrorCode, requestId: string): void {
  const body = errorBody(code);
  socket.on("error", () => socket.destroy());
  // The server no longer watches this socket: what still comes is thrown away, and a caller that does not hang up is hung up on.
  socket.resume();
  const cut = setTimeout(() => socket.destroy(), LINGER_MS);
  cut.unref();
  socket.once("close", () => clearTimeout(cut));
  socket.end(
    `HTTP/1.1 ${ERRORS[code].status} Error\r\nContent-Type: application/json; charset=utf-8\r\nX-Request-Id: ${requestId}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
