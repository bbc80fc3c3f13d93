/**
 * The small front of `--per-service`: passes HTTP and upgrades to the owner of a path by the route table, round robin over its instances.
 * No rule, no state, no body is looked at. What an Ingress does in Kubernetes. Tests: front.int.test.ts.
 */
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { routeOf, type ServiceName } from "@headwater/protocol";
import {
  asksForWebSocket,
  publicHealth,
  rejectUpgrade,
  requestIdOf,
  sendErrorFor,
  systemClock,
  type SystemHealth,
} from "@headwater/runtime";

export interface Backend {
  port: number;
  alive(): boolean;
}

export interface FrontOptions {
  host: string;
  port: number;
  backends: Record<ServiceName, Backend[]>;
  health: () => Promise<SystemHealth>;
  tls?: { cert: string; key: string };
}

export async function startFront(options: FrontOptions): Promise<{ port: number; url: string; close(): Promise<void> }> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 512, maxFreeSockets: 256, scheduling: "lifo" });
  const scheme = options.tls ? "https" : "http";
  const turns = new Map<ServiceName, number>();
  const pick = (service: ServiceName): Backend | undefined => {
    const all = options.backends[service];
    const alive = all.filter((backend) => backend.alive());
    const pool = alive.length > 0 ? alive : all;
    const turn = turns.get(service) ?? 0;
    turns.set(service, (turn + 1) % 1_000_000);
    return pool[turn % pool.length];
  };

  const onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    const path = pathOf(req);
    if (path === "/health") {
      void options.health().then((report) => {
        res
          .writeHead(report.status === "down" ? 503 : 200, { "Content-Type": "application/json; charset=utf-8" })
          .end(JSON.stringify(publicHealth(report, systemClock.now())));
      });
      return;
    }
    const route = routeOf(path);
    const backend = route && pick(route.owner);
    if (!backend) return sendErrorFor(res, path, "not_found", { message: `No route for ${req.method} ${path}` });
    const upstream = http.request(
      { agent, host: "127.0.0.1", port: backend.port, method: req.method, path: req.url, headers: forwarded(req, scheme), setHost: false },
      (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
        answer.pipe(res);
        answer.on("error", () => res.destroy());
      },
    );
    upstream.on("error", () => {
      // Nothing was answered: the caller may try again, and its `_eid` keeps a repeat from counting twice.
      if (!res.headersSent) sendErrorFor(res, path, "overloaded", { headers: { "Retry-After": "1" } });
      else res.destroy();
    });
    res.on("close", () => upstream.destroy());
    req.pipe(upstream);
  };

  const onUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const route = routeOf(pathOf(req));
    const backend = route?.kind === "websocket" ? pick(route.owner) : undefined;
    if (!backend) return rejectUpgrade(socket, "not_found", requestIdOf(req));
    const upstream = net.connect({ host: "127.0.0.1", port: backend.port, noDelay: true });
    let connected = false;
    upstream.once("connect", () => {
      connected = true;
      const lines = [`${req.method} ${req.url} HTTP/1.1`];
      const headers = forwarded(req, scheme);
      for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
      upstream.write(`${lines.join("\r\n")}\r\n\r\n`);
      if (head.length > 0) upstream.write(head);
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    upstream.on("error", () => (connected ? socket.destroy() : rejectUpgrade(socket, "overloaded", requestIdOf(req))));
    upstream.on("close", () => connected && socket.destroy());
    socket.on("error", () => upstream.destroy());
    socket.on("close", () => upstream.destroy());
  };

  const limits = {
    headersTimeout: 5_000,
    requestTimeout: 30_000,
    connectionsCheckingInterval: 1_000,
    keepAliveTimeout: 72_000,
    maxHeaderSize: 16_384,
    noDelay: true,
    shouldUpgradeCallback: asksForWebSocket,
  };
  const server = options.tls ? https.createServer({ ...limits, ...options.tls }, onRequest) : http.createServer(limits, onRequest);
  server.on("upgrade", onUpgrade);
  server.on("clientError", (_error, socket) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    else socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  // A TCP listener's address is an object; only pipes have a string.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `${scheme}://${options.host === "0.0.0.0" ? "127.0.0.1" : options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          agent.destroy();
          resolve();
        });
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), 5_000).unref();
      }),
  };
}

function pathOf(req: IncomingMessage): string {
  return (req.url ?? "/").split("?", 1)[0] ?? "/";
}

/** Raw headers with ours on top: what a client claims about forwarding is dropped, we are its first hop. */
function forwarded(req: IncomingMessage, scheme: string): string[] {
  const headers: string[] = [];
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    const name = req.rawHeaders[i] ?? "";
    if (/^x-forwarded-(for|proto|host)$/i.test(name)) continue;
    headers.push(name, req.rawHeaders[i + 1] ?? "");
  }
  headers.push("X-Forwarded-For", req.socket.remoteAddress ?? "", "X-Forwarded-Proto", scheme);
  return headers;
}
