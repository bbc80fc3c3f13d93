import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemHealth } from "@headwater/runtime";
import { afterEach, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type Backend, startFront } from "./front.ts";

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function backend(name: string): Promise<{ server: Server; backend: Backend; seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((req, res) => {
    seen.push(`${req.method} ${req.url} xff=${req.headers["x-forwarded-for"] ?? ""} proto=${req.headers["x-forwarded-proto"] ?? ""}`);
    req.resume().on("end", () => res.writeHead(202, { "X-Owner": name }).end(name));
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`${name}:${data.toString()}`)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const client of sockets.clients) client.terminate();
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { server, backend: { port: (server.address() as AddressInfo).port, alive: () => true }, seen };
}

async function front() {
  const [ingest, edge, other] = [await backend("ingest"), await backend("edge"), await backend("other")];
  const rest = [other.backend];
  const running = await startFront({
    host: "127.0.0.1",
    port: 0,
    backends: { auth: rest, ingest: [ingest.backend], scoring: rest, routing: rest, intelligence: rest, edge: [edge.backend] },
    health: async () => systemHealth({ "edge-0": { status: "up", checks: { nats: { ok: true } } } }),
  });
  closers.push(() => running.close());
  return { running, ingest, edge };
}

it("passes a request to the owner of its path and claims the first hop itself", async () => {
  const { running, ingest } = await front();
  const answer = await fetch(`${running.url}/v1/events?key=k`, { method: "POST", body: "{}", headers: { "X-Forwarded-For": "6.6.6.6" } });
  expect([answer.status, answer.headers.get("x-owner"), await answer.text()]).toEqual([202, "ingest", "ingest"]);
  expect(ingest.seen).toEqual(["POST /v1/events?key=k xff=127.0.0.1 proto=http"]);
});

it("answers unknown paths and its own health", async () => {
  const { running } = await front();
  const unknown = await fetch(`${running.url}/nope`);
  expect(unknown.status).toBe(404);
  expect(await unknown.json()).toMatchObject({ error: "not_found" });
  expect(await (await fetch(`${running.url}/api/`)).json()).toEqual({
    success: false,
    message: "route not found",
    code: "ROUTE_NOT_FOUND",
  });
  const health = await fetch(`${running.url}/health`);
  expect([health.status, await health.json()]).toMatchObject([200, { status: "ok", services: { nats: "connected" } }]);
});

it("passes upgrades both ways and refuses those nobody owns", async () => {
  const { running } = await front();
  const socket = new WebSocket(`${running.url.replace("http", "ws")}/signals/stream?key=k`);
  closers.push(() => socket.terminate());
  const echoed = new Promise((resolve) => socket.once("message", (data) => resolve(data.toString())));
  socket.once("open", () => socket.send("hi"));
  expect(await echoed).toBe("edge:hi");
  const stray = new WebSocket(`${running.url.replace("http", "ws")}/nope`);
  const status = await new Promise((resolve) =>
    stray.once("unexpected-response", (_req, res) => resolve(res.statusCode)).once("error", () => undefined),
  );
  expect(status).toBe(404);
});

it("answers 503 with Retry-After while the owner is away", async () => {
  const { running, ingest } = await front();
  ingest.server.closeAllConnections();
  await new Promise((resolve) => ingest.server.close(resolve));
  const answer = await fetch(`${running.url}/v1/events`, { method: "POST", body: "{}" });
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await answer.json()).toMatchObject({ error: "overloaded" });
});
