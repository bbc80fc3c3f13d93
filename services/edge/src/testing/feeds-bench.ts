/**
 * `/ws` alone: memory per socket, bare and with subscriptions, next to a bare `ws` server; and what stalled sockets do to the others.
 *   node services/edge/src/testing/feeds-bench.ts [sockets=2000] [topics per socket=10] [readers=100] [stalled=1] [pairs=5]
 * Prints one JSON line per measurement. Edge, receivers and publisher are processes of their own.
 */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import net, { type AddressInfo } from "node:net";
import { createPublisher, openNats } from "@headwater/messaging";
import { subjects } from "@headwater/protocol";
import { quietLogger } from "@headwater/testkit";
import { WebSocketServer } from "ws";
import { startEdgeFixture } from "./edge-fixture.ts";
import { topicFrame } from "./test-frame.ts";
import { Receiver } from "./ws-receiver.ts";

type Message = { ports?: { http: number; nats: number }; opened?: true; latencies?: number[] };

const [role = "main", ...args] = process.argv.slice(2);
const FEED = "65f456abc1230a1b2c3d4e01";
const MESSAGES_PER_SECOND = 200;
const SECONDS = 3;
const FILLER = "x".repeat(300);

async function edge(): Promise<void> {
  const fixture = await startEdgeFixture();
  fixture.addSession("jwt", "acme", { limits: { feedSockets: 1_000_000, feedSubscriptionsPerSocket: 10_000 } });
  const running = await fixture.startEdge({
    config: { WS_MAX_MESSAGES_PER_SECOND: 10_000, WS_MESSAGE_BURST: 10_000, WS_MAX_FULL_MS: 600_000 },
  });
  await fixture.addFeed(FEED, "acme", { enableTopicRouting: true, topicField: "s" });
  process.send?.({ ports: { http: running.port, nats: Number(new URL(fixture.nats.url).port) } } satisfies Message);
  process.on("disconnect", () => void fixture.stop().finally(() => process.exit()));
}

function bare(): void {
  const wss = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const server = createServer();
  server.on("upgrade", (req, socket, head) => wss.handleUpgrade(req, socket, head, (ws) => ws.on("message", () => undefined)));
  server.listen(0, "127.0.0.1", () => {
    process.send?.({ ports: { http: (server.address() as AddressInfo).port, nats: 0 } } satisfies Message);
  });
}

function masked(message: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(message));
  const header = payload.length < 126 ? [0x81, 0x80 | payload.length] : [0x81, 0xfe, payload.length >> 8, payload.length & 0xff];
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload]);
}

/** Opens sockets with `topics` subscriptions each and tells when all are answered; `stall`: then never reads again. */
function sink(port: number, count: number, topics: number, mode: string): void {
  const latencies: number[] = [];
  let opened = 0;
  let started = 0;
  const wanted = topics === 0 ? 0 : topics + 1;
  const open = (): void => {
    const index = started++;
    const socket = net.connect(port, "127.0.0.1");
    socket.write(
      "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let replies = 0;
    const ready = (): void => {
      if (mode === "stall") socket.pause();
      opened++;
      if (started < count) open();
      else if (opened === count) process.send?.({ opened: true } satisfies Message);
    };
    const receiver = new Receiver((text) => {
      if (text.startsWith('{"type":"topic-data"')) {
        const at = /"at":([\d.]+)/.exec(text)?.[1];
        if (mode === "measure" && at !== undefined) latencies.push(performance.timeOrigin + performance.now() - Number(at));
      } else if (++replies === wanted) ready();
    });
    socket.once("data", () => {
      socket.on("data", (chunk) => receiver.take(chunk));
      if (wanted === 0) return ready();
      socket.write(masked({ type: "authenticate", payload: { token: "jwt" } }));
      for (let n = 0; n < topics; n++) {
        const topic = `t${(index + n) % 1_000}`;
        socket.write(masked({ type: "subscribe-topic", payload: { feedId: FEED, topic, include: ["data"] } }));
      }
    });
  };
  for (let i = 0; i < Math.min(count, 64); i++) open();
  process.on("message", (text) => {
    if (text === "latencies") process.send?.({ latencies: latencies.splice(0) } satisfies Message);
  });
}

function child(...childArgs: (string | number)[]): ChildProcess {
  return fork(new URL(import.meta.url).pathname, childArgs.map(String), { execArgv: ["--disable-warning=ExperimentalWarning"] });
}

function ask<K extends keyof Message>(from: ChildProcess, field: K, question?: string): Promise<NonNullable<Message[K]>> {
  return new Promise((resolve) => {
    const listen = (message: Message): void => {
      const value = message[field];
      if (value === undefined) return;
      from.off("message", listen);
      resolve(value as NonNullable<Message[K]>);
    };
    from.on("message", listen);
    if (question !== undefined) from.send(question);
  });
}

function residentBytes(of: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${of.pid}/status`, "utf8"))?.[1]) * 1024;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function memory(measured: string, server: ChildProcess, sockets: number, topics: number): Promise<void> {
  const { http } = await ask(server, "ports");
  const warm = child("sink", http, 50, topics, "read");
  await ask(warm, "opened");
  const before = residentBytes(server);
  const crowd = child("sink", http, sockets, topics, "read");
  await ask(crowd, "opened");
  // The garbage of the handshakes has time to go.
  await pause(5_000);
  print({
    measured: `memory per /ws socket, ${measured}`,
    sockets,
    bytesPerSocket: Math.round((residentBytes(server) - before) / sockets),
  });
  for (const process_ of [warm, crowd]) process_.kill();
  server.disconnect();
}

/** Latency from publish to socket, in pairs with and without sockets that never read. */
async function stalledPairs(readers: number, stalled: number, pairs: number): Promise<void> {
  const server = child("edge");
  const ports = await ask(server, "ports");
  const nats = await openNats({ url: `nats://127.0.0.1:${ports.nats}`, user: "test", password: "test", name: "bench", log: quietLogger() });
  const publisher = createPublisher(nats);
  const crowd = child("sink", ports.http, readers, 20, "measure");
  await ask(crowd, "opened");
  let frames = 0;
  const run = async (): Promise<number> => {
    const begin = performance.now();
    for (let sent = 0; sent < MESSAGES_PER_SECOND * SECONDS; ) {
      const due = Math.floor(((performance.now() - begin) / 1_000) * MESSAGES_PER_SECOND);
      for (; sent < due; sent++) {
        const at = performance.timeOrigin + performance.now();
        const outputs = Array.from({ length: 5 }, (_, n) => ({
          feedId: FEED,
          topic: `t${(sent * 5 + n) % (readers + 20)}`,
          data: JSON.stringify({ at, FILLER }),
        }));
        await publisher.publish(subjects.lane("topics", sent % 16), topicFrame(outputs, ++frames));
      }
      await pause(2);
    }
    await pause(200);
    const latencies = (await ask(crowd, "latencies", "latencies")).toSorted((a, b) => a - b);
    return latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN;
  };
  await run();
  const ratios: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const without = await run();
    const bad = child("sink", ports.http, stalled, 200, "stall");
    await ask(bad, "opened");
    const withStalled = await run();
    bad.kill();
    ratios.push(withStalled / without);
    print({ measured: "p99 publish to socket, ms", readers, stalled, without: round(without), withStalled: round(withStalled) });
  }
  print({
    measured: "p99 with stalled sockets / without, median of pairs",
    ratio: round(ratios.toSorted((a, b) => a - b)[Math.floor(pairs / 2)] ?? 0),
  });
  await nats.drain();
  crowd.kill();
  server.disconnect();
}

async function main(): Promise<void> {
  const [sockets = 2_000, topics = 10, readers = 100, stalled = 1, pairs = 5] = args.map(Number);
  await memory("bare ws", child("bare"), sockets, 0);
  await memory("edge, anonymous", child("edge"), sockets, 0);
  await memory("edge, authenticated, 1 topic", child("edge"), sockets, 1);
  await memory(`edge, authenticated, ${topics} topics`, child("edge"), sockets, topics);
  await stalledPairs(readers, stalled, pairs);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const roles: Record<string, () => unknown> = {
  edge,
  bare,
  sink: () => sink(Number(args[0]), Number(args[1]), Number(args[2]), args[3] ?? "read"),
};
// A child goes with its parent; the edge stops its broker first.
if (role !== "edge" && role !== "main") process.on("disconnect", () => process.exit());
// Without a role name the numbers are for main.
if (/^\d*$/.test(role)) args.unshift(role);
await (roles[role] ?? main)();
