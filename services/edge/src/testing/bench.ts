/**
 * Fan-out of the edge alone against a bare `ws` server that writes ready frames, and memory per idle socket. Every part is its own process.
 *   node services/edge/src/testing/bench.ts [sockets=500] [seconds=5] [events per frame=20] [frames per second=250] [idle sockets=2000] [rounds=3] [resuming sockets=1000]
 * Prints one JSON line per measurement. The whole-system figures are in test/bench.
 */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import net, { type AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { encodeFrame as encodeWsFrame } from "../adapters/rfc6455.ts";
import { startEdgeFixture } from "./edge-fixture.ts";
import { createPublisher, openNats } from "@headwater/messaging";
import { subjects } from "@headwater/protocol";
import { quietLogger } from "@headwater/testkit";
import { label } from "./labels.ts";
import { testFrame } from "./test-frame.ts";

type Message = { port?: number; bytes?: number; opened?: true };

const [role = "main", ...args] = process.argv.slice(2);
const STORM_EVENTS = 1_000;
const PAGE = "/pricing/plans";
const frameBytes = encodeWsFrame(Buffer.from(label({ v: "vis_000000", p: PAGE }).wire)).length;

/** The broker; publishes when told. */
async function edgeBroker(): Promise<void> {
  const fixture = await startEdgeFixture();
  process.send?.({ port: Number(new URL(fixture.nats.url).port) } satisfies Message);
  process.on("message", (text) => {
    if (typeof text !== "string" || !text.startsWith("publish ")) return;
    const [, seconds = 1, perFrame = 1, perSecond = 1] = text.split(" ").map(Number);
    const outputs = Array.from({ length: perFrame }, (_, i) => ({
      tenant: "acme",
      ext: { v: `vis_${String(i).padStart(6, "0")}`, p: PAGE },
    }));
    const total = seconds * perSecond;
    const begin = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - begin) / 1000) * perSecond));
      while (sent < due) {
        // A frame that is not stored in time shows as an incomplete run.
        fixture.publish(outputs, { lane: sent % 16 }).catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
        sent++;
      }
      if (sent === total) clearInterval(timer);
    }, 2);
  });
  process.on("disconnect", () => void fixture.stop().finally(() => process.exit()));
}

/** Writes the backlog of the storm. */
async function writer(port: number): Promise<void> {
  const nats = await openNats({ url: `nats://127.0.0.1:${port}`, user: "test", password: "test", name: "writer", log: quietLogger() });
  const publisher = createPublisher(nats);
  const now = Date.now();
  for (let frame = 0; frame < STORM_EVENTS / 10; frame++) {
    const outputs = Array.from({ length: 10 }, (_, i) => ({ tenant: "acme", ext: { v: `vis_00000${i}`, p: PAGE, ts: now + 1 } }));
    await publisher.publish(subjects.lane("signals", frame % 16), testFrame(outputs, frame + 1));
  }
  process.send?.({ opened: true } satisfies Message);
}

/** A bare server: every socket gets `perWrite` ready frames per write until `total` frames are out. */
async function bare(perWrite: number): Promise<void> {
  const server = createServer();
  const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const raws: net.Socket[] = [];
  server.on("upgrade", (req, socket, head) => {
    // The http module hands over the TCP socket of a plain listener.
    const raw = socket as net.Socket;
    wss.handleUpgrade(req, raw, head, () => raws.push(raw));
  });
  server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port } satisfies Message));
  const chunk = Buffer.concat(Array.from({ length: perWrite }, () => encodeWsFrame(Buffer.from(label({ v: "vis_000000", p: PAGE }).wire))));
  process.on("message", (text) => {
    if (typeof text !== "string" || !text.startsWith("run ")) return;
    const [, total = 0, perSecond = 1] = text.split(" ").map(Number);
    const begin = performance.now();
    let sent = 0;
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - begin) / 1000) * perSecond));
      for (; sent + perWrite <= due; sent += perWrite) for (const raw of raws) raw.write(chunk);
      if (sent + perWrite > total) clearInterval(timer);
    }, 2);
  });
}

/** Opens sockets and counts bytes. */
async function sink(port: number, count: number, query = ""): Promise<void> {
  let bytes = 0;
  let opened = 0;
  let started = 0;
  const open = (): void => {
    started++;
    const socket = net.connect(port, "127.0.0.1");
    socket.write(
      `GET /v1/signals/stream?key=key${query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    );
    socket.once("data", (first) => {
      opened++;
      bytes += first.length;
      if (started < count) open();
      else if (opened === count) process.send?.({ opened: true } satisfies Message);
      socket.on("data", (chunk) => {
        bytes += chunk.length;
      });
    });
  };
  for (let i = 0; i < Math.min(count, 64); i++) open();
  process.on("message", (text) => {
    if (text === "bytes") process.send?.({ bytes } satisfies Message);
  });
}

async function edgeProcess(): Promise<void> {
  const { startEdge } = await import("../service.ts");
  const { parseEdgeConfig } = await import("../config.ts");
  const { createLogger, listenHttp, systemClock } = await import("@headwater/runtime");
  const { PLAN_LIMITS } = await import("@headwater/protocol");
  const log = createLogger({ service: "edge", level: "warn" });
  const limits = { ...PLAN_LIMITS.custom, feedConnections: 100_000 };
  // One answer for all, as the credential cache gives it.
  const verified = {
    ok: true as const,
    credential: {
      keyId: "k",
      keyType: "server" as const,
      tenantId: "acme",
      tenantSlug: "acme",
      plan: "custom" as const,
      limits,
      scopes: ["signals:read"],
      domains: [],
      sites: [],
      expiresAt: null,
      reg: 0,
    },
  };
  const service = await startEdge(parseEdgeConfig({ EDGE_DRAIN_SPREAD_MS: "0" }), {
    log,
    clock: systemClock,
    natsUrl: `nats://127.0.0.1:${args[0]}`,
    natsUser: "edge",
    natsPassword: "test",
    instanceId: "edge-bench",
    profile: "laptop",
    secrets: {
      keyPepper: "p".repeat(32),
      cursorKey: "c".repeat(32),
      privacyKey: "v".repeat(32),
      adminToken: "a".repeat(32),
      jwtSecret: "j".repeat(32),
      encryptionKey: "e".repeat(32),
    },
    verify: async () => verified,
  });
  const http = await listenHttp({ services: [service], host: "127.0.0.1", port: 0, log, health: () => service.health() });
  process.send?.({ port: http.port } satisfies Message);
}

function child(...childArgs: (string | number)[]): ChildProcess {
  return fork(new URL(import.meta.url).pathname, childArgs.map(String), { execArgv: ["--disable-warning=ExperimentalWarning"] });
}

function ask<K extends keyof Message>(process_: ChildProcess, field: K, question?: string): Promise<NonNullable<Message[K]>> {
  return new Promise((resolve) => {
    const listen = (message: Message): void => {
      const value = message[field];
      if (value === undefined) return;
      process_.off("message", listen);
      resolve(value as NonNullable<Message[K]>);
    };
    process_.on("message", listen);
    if (question !== undefined) process_.send(question);
  });
}

async function bytesUntilQuiet(sinkProcess: ChildProcess, wanted: number, withinMs: number): Promise<number> {
  const begin = performance.now();
  let bytes = 0;
  while (bytes < wanted && performance.now() - begin < withinMs) {
    bytes = await ask(sinkProcess, "bytes", "bytes");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return bytes;
}

/** A new edge, and so many sockets that all continue a thousand events back, 64 handshakes at a time. */
async function resumeStorm(natsPort: number, sockets: number): Promise<void> {
  const first = child("edge", natsPort);
  const cursor = await helloCursor(await ask(first, "port"));
  const backlog = child("writer", natsPort);
  await ask(backlog, "opened");
  first.kill("SIGKILL");
  const edge = child("edge", natsPort);
  const port = await ask(edge, "port");
  const begin = performance.now();
  const cpuBefore = cpuMsOf(edge);
  const crowd = child("sink", port, sockets, `&cursor=${cursor}`);
  const wanted = sockets * STORM_EVENTS * frameBytes;
  const bytes = await bytesUntilQuiet(crowd, wanted, 60_000);
  print({
    measured: "resume storm at a new edge",
    sockets,
    eventsEach: STORM_EVENTS,
    isComplete: bytes >= wanted,
    ms: Math.round(performance.now() - begin),
    edgeCpuMs: cpuMsOf(edge) - cpuBefore,
  });
  for (const process_ of [edge, crowd, backlog]) process_.kill();
}

function helloCursor(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/signals/stream?key=key`);
    socket.once("error", reject);
    socket.once("message", (data) => {
      socket.terminate();
      // Our own hello, whose cursor is a string.
      resolve((JSON.parse(String(data)) as { cursor: string }).cursor);
    });
  });
}

/** Growth of the resident set, after the garbage of the handshakes had time to go. */
async function idleMemory(measured: string, server: ChildProcess, sockets: number): Promise<void> {
  const port = await ask(server, "port");
  const warm = child("sink", port, 50);
  await ask(warm, "opened");
  const before = residentBytes(server);
  const crowd = child("sink", port, sockets);
  await ask(crowd, "opened");
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  const bytesPerSocket = Math.round((residentBytes(server) - before) / sockets);
  print({ measured: `memory per idle socket, ${measured}`, sockets, bytesPerSocket });
  for (const process_ of [warm, crowd, server]) process_.kill();
}

function residentBytes(process_: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${process_.pid}/status`, "utf8"))?.[1]) * 1024;
}

async function main(): Promise<void> {
  const [sockets = 500, seconds = 5, perFrame = 20, perSecond = 250, idle = 2_000, rounds = 3, storm = 1_000] = args.map(Number);
  const events = seconds * perFrame * perSecond;
  const wanted = events * frameBytes * sockets;
  const broker = child("broker");
  const natsPort = await ask(broker, "port");
  for (let round = 0; round < rounds; round++) {
    const edge = child("edge", natsPort);
    const port = await ask(edge, "port");
    const receivers = child("sink", port, sockets);
    await ask(receivers, "opened");
    const before = await ask(receivers, "bytes", "bytes");
    const begin = cpuMsOf(edge);
    broker.send(`publish ${seconds} ${perFrame} ${perSecond}`);
    const bytes = (await bytesUntilQuiet(receivers, wanted + before, seconds * 3_000 + 5_000)) - before;
    report("edge", bytes, cpuMsOf(edge) - begin, bytes >= wanted);
    receivers.kill();
    edge.kill();
    for (const perWrite of [1, 4, 16]) {
      const server = child("bare", perWrite);
      const sinks = child("sink", await ask(server, "port"), sockets);
      await ask(sinks, "opened");
      const start = cpuMsOf(server);
      server.send(`run ${events} ${perFrame * perSecond}`);
      const got = await bytesUntilQuiet(sinks, Math.floor(events / perWrite) * perWrite * frameBytes * sockets, seconds * 3_000 + 5_000);
      report(`bare ws, ${perWrite} frames per write`, got, cpuMsOf(server) - start, true);
      sinks.kill();
      server.kill();
    }
  }
  await resumeStorm(natsPort, storm);
  await idleMemory("edge", child("edge", natsPort), idle);
  await idleMemory("bare ws", child("bare", 1), idle);
  broker.disconnect();
}

/** User and system time from the kernel, ms. */
function cpuMsOf(process_: ChildProcess): number {
  const fields = readFileSync(`/proc/${process_.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function report(measured: string, bytes: number, cpuMs: number, isComplete: boolean): void {
  const deliveries = Math.round(bytes / frameBytes);
  print({
    measured,
    frameBytes,
    deliveries,
    isComplete,
    cpuMs: Math.round(cpuMs),
    deliveriesPerCpuSecond: Math.round((deliveries / cpuMs) * 1000),
  });
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const roles: Record<string, () => Promise<void>> = {
  broker: edgeBroker,
  edge: edgeProcess,
  writer: () => writer(Number(args[0])),
  bare: () => bare(Number(args[0])),
  sink: () => sink(Number(args[0]), Number(args[1]), args[2]),
};
// A child goes with its parent; the broker stops its server first.
if (role !== "broker") process.on("disconnect", () => process.exit());
// Without a role name the numbers are for main.
if (/^\d*$/.test(role)) args.unshift(role);
await (roles[role] ?? main)();
