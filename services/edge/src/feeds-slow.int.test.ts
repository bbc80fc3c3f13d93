/** W13: a client that does not read loses the oldest data, is told how much, and nobody else notices. */
import net from "node:net";
import { SocketServerMessage } from "@headwater/protocol";
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Receiver } from "./testing/ws-receiver.ts";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketFrame } from "./testing/socket-client.ts";

const RAW = "65f456abc1230a1b2c3d4e01";
const OTHER = "65f456abc1230a1b2c3d4e02";
const CAP = 256 * 1024;

let fixture: EdgeFixture;

beforeAll(async () => {
  fixture = await startEdgeFixture();
  fixture.addSession("jwt", "acme");
  await fixture.addFeed(RAW, "acme");
  await fixture.addFeed(OTHER, "acme");
});
afterAll(() => fixture.stop());

const msg = (type: string, payload?: unknown) => ({ type, payload });

/** A client that reads only when told; `send` works all the time. */
async function stalledClient(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(
    "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await new Promise((resolve) => socket.once("data", resolve));
  const frames: SocketFrame[] = [];
  const receiver = new Receiver((text) => {
    const value: unknown = JSON.parse(text);
    SocketServerMessage.parse(value);
    // Checked against the contract on the line above.
    frames.push(value as SocketFrame);
  });
  socket.on("data", (chunk) => receiver.take(chunk));
  const send = (message: unknown): void => {
    const payload = Buffer.from(JSON.stringify(message));
    const header = payload.length < 126 ? [0x81, 0x80 | payload.length] : [0x81, 0x80 | 126, payload.length >> 8, payload.length & 0xff];
    // A mask of zeros leaves the payload as it is.
    socket.write(Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload]));
  };
  const count = (type: string) => frames.filter((frame) => frame.type === type).length;
  return { socket, frames, send, closed, count, receiver };
}

async function start(config: Parameters<EdgeFixture["startEdge"]>[0] = {}): Promise<RunningEdge> {
  return fixture.startEdge({ ...config, config: { WS_MAX_BUFFERED_BYTES: CAP, ...config.config } });
}

/** Frames of about 20 kB until the condition holds. @returns values written to RAW. */
async function flood(isEnough: () => boolean, written: number): Promise<number> {
  const filler = "x".repeat(1_000);
  let value = written;
  for (let frame = 0; frame < 2_000 && !isEnough(); frame++) {
    await fixture.publishTopics(Array.from({ length: 20 }, () => ({ feedId: RAW, data: JSON.stringify([value++, filler]) })));
  }
  return value;
}

const valuesOf = (frames: readonly SocketFrame[]): number[] =>
  frames
    .filter((frame) => frame.type === "feed-data" && frame.payload["feedId"] === RAW)
    .map((frame) => Number((frame.payload["data"] as unknown[])[0]));

it("the oldest data is left out and told in its place, replies and others' data are not", async () => {
  const edge = await start();
  const good = await openSocket(edge.url);
  await good.ask(msg("authenticate", { token: "jwt" }), msg("subscribe-feed", { feedId: RAW }));
  const slow = await stalledClient(edge.port);
  slow.send(msg("authenticate", { token: "jwt" }));
  slow.send(msg("subscribe-feed", { feedId: RAW }));
  slow.send(msg("subscribe-feed", { feedId: OTHER }));
  await until("it listens", () => slow.count("subscription-success") === 2);
  slow.socket.pause();
  const dropped = () => Number(edge.service.status()["framesDropped"]);
  let written = await flood(() => dropped() > 500, 0);
  expect(Number(edge.service.status()["queuedBytes"])).toBeLessThan(CAP + 64 * 1024);
  // Replies are never left out, whatever comes after them.
  for (let i = 0; i < 20; i++) slow.send(msg("subscribe-feed", { feedId: `unknown${i}` }));
  written = await flood(() => dropped() > 2_000, written);
  await good.received("feed-data", written);
  expect(valuesOf(good.frames)).toEqual(Array.from({ length: written }, (_, n) => n));
  slow.socket.resume();
  await until("everything that is left has arrived", () => valuesOf(slow.frames).at(-1) === written - 1);
  expect(slow.count("subscription-error")).toBe(20);
  // Every value is either there or counted by the gap in its place.
  let next = 0;
  let missing = 0;
  for (const frame of slow.frames) {
    if (frame.type === "gap") {
      expect(frame.payload).toMatchObject({ feedId: RAW, reason: "slow_consumer" });
      missing += Number(frame.payload["dropped"]);
      next += Number(frame.payload["dropped"]);
    } else if (frame.type === "feed-data") {
      expect((frame.payload["data"] as unknown[])[0]).toBe(next);
      next++;
    }
  }
  expect(missing).toBe(dropped());
  expect(next).toBe(written);
  expect(good.of("gap")).toEqual([]);
  // It caught up: no reason to close it.
  await fixture.publishTopics([{ feedId: RAW, data: JSON.stringify([written, ""]) }]);
  await until("the live end", () => valuesOf(slow.frames).at(-1) === written);
  slow.socket.destroy();
  await good.close();
  await edge.stop();
});

it("a queue that stays full is closed with 1013", async () => {
  const edge = await start({ config: { WS_MAX_FULL_MS: 300, EDGE_TERMINATE_AFTER_MS: 100 } });
  const slow = await stalledClient(edge.port);
  slow.send(msg("authenticate", { token: "jwt" }));
  slow.send(msg("subscribe-feed", { feedId: RAW }));
  await until("it listens", () => slow.count("subscription-success") === 1);
  slow.socket.pause();
  const sockets = () => (edge.service.status()["sockets"] as { feeds: number }).feeds;
  await flood(() => sockets() === 0, 0);
  await until("it is closed", () => sockets() === 0);
  expect(await edge.service.metrics.getSingleMetricAsString("headwater_edge_closed_total")).toContain('surface="feeds",code="1013"');
  expect(edge.service.status()["queuedBytes"]).toBe(0);
  slow.socket.destroy();
  await slow.closed;
  await edge.stop();
});

it("a client that asks without ever reading cannot pile up replies", async () => {
  const edge = await start({ config: { WS_MAX_MESSAGES_PER_SECOND: 10_000, WS_MESSAGE_BURST: 10_000, EDGE_TERMINATE_AFTER_MS: 100 } });
  const slow = await stalledClient(edge.port);
  slow.socket.pause();
  const sockets = () => (edge.service.status()["sockets"] as { feeds: number }).feeds;
  const feedId = "x".repeat(250);
  let peak = 0;
  for (let i = 0; i < 2_000 && sockets() === 1; i++) {
    for (let n = 0; n < 50; n++) slow.send(msg("subscribe-feed", { feedId }));
    peak = Math.max(peak, Number(edge.service.status()["queuedBytes"]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until("it is closed", () => sockets() === 0);
  expect(peak).toBeLessThan(CAP + 64 * 1024);
  slow.socket.destroy();
  await edge.stop();
});
