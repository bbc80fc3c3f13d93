/** F10: a reader that stops reading is closed with 1011, memory stays bounded, and nobody else notices. */
import net from "node:net";
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type EdgeFixture, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openFeed } from "./testing/feed-socket.ts";

let fixture: EdgeFixture;

beforeAll(async () => {
  fixture = await startEdgeFixture();
  fixture.addKey("key", "acme");
});
afterAll(() => fixture.stop());

/** A socket that completes the handshake and then never reads again. */
async function stalledSocket(port: number): Promise<{ socket: net.Socket; closed: Promise<void> }> {
  const socket = net.connect(port, "127.0.0.1");
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  socket.write(
    "GET /v1/signals/stream?key=key HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  return { socket, closed };
}

/** Frames of about 200 kB until the condition holds. */
async function flood(stop: () => boolean, maxFrames = 400): Promise<number> {
  const page = `/${"x".repeat(900)}`;
  let events = 0;
  for (let frame = 0; frame < maxFrames && !stop(); frame++) {
    await fixture.publish(Array.from({ length: 100 }, (_, i) => ({ tenant: "acme", ext: { v: `f${frame}_${i}`, p: page } })));
    events += 100;
  }
  return events;
}

it("overflow: 1011 while the others get everything in order", async () => {
  const edge = await fixture.startEdge({
    config: { EDGE_MAX_BUFFERED_BYTES: 512 * 1024, EDGE_NO_PROGRESS_MS: 60_000, EDGE_TERMINATE_AFTER_MS: 200 },
  });
  const good = await openFeed(`${edge.url}/v1/signals/stream?key=key`);
  const stalled = await stalledSocket(edge.port);
  const sockets = () => (edge.service.status()["sockets"] as { signals: number }).signals;
  const queued = () => Number(edge.service.status()["queuedBytes"]);
  let peak = 0;
  const events = await flood(() => {
    peak = Math.max(peak, queued());
    return sockets() === 1;
  });
  await until("the stalled socket is terminated", () => sockets() === 1);
  await good.received(events);
  expect(good.visitors().length).toBe(events);
  expect(peak).toBeLessThan(1024 * 1024);
  expect(queued()).toBe(0);
  expect(await edge.service.metrics.getSingleMetricAsString("headwater_edge_closed_total")).toContain('code="1011"');
  stalled.socket.resume();
  await stalled.closed;
  await good.close();
  await edge.stop();
});

it("no progress: 1011 even below the cap", async () => {
  const edge = await fixture.startEdge({
    config: { EDGE_NO_PROGRESS_MS: 300, EDGE_TERMINATE_AFTER_MS: 100, EDGE_MAX_BUFFERED_BYTES: 64 * 1024 * 1024 },
  });
  const good = await openFeed(`${edge.url}/v1/signals/stream?key=key`);
  const stalled = await stalledSocket(edge.port);
  const sockets = () => (edge.service.status()["sockets"] as { signals: number }).signals;
  const events = await flood(() => Number(edge.service.status()["queuedBytes"]) > 0);
  await until("the stalled socket is closed", () => sockets() === 1);
  await good.received(events);
  expect(await edge.service.metrics.getSingleMetricAsString("headwater_edge_closed_total")).toContain('code="1011"');
  stalled.socket.destroy();
  await good.close();
  await edge.stop();
});

it("process-wide cap: the laggiest goes first", async () => {
  const edge = await fixture.startEdge({
    config: { EDGE_QUEUE_BUDGET_BYTES: 1024 * 1024, EDGE_NO_PROGRESS_MS: 60_000, EDGE_TERMINATE_AFTER_MS: 100 },
  });
  const good = await openFeed(`${edge.url}/v1/signals/stream?key=key`);
  const stalled = await Promise.all([stalledSocket(edge.port), stalledSocket(edge.port)]);
  const sockets = () => (edge.service.status()["sockets"] as { signals: number }).signals;
  const events = await flood(() => sockets() === 1);
  await until("both stalled sockets are gone", () => sockets() === 1);
  await good.received(events);
  for (const { socket } of stalled) socket.destroy();
  await good.close();
  await edge.stop();
});

it("a slow reader that resumes by cursor is paced, not closed, and misses nothing", async () => {
  const edge = await fixture.startEdge({ config: { EDGE_MAX_BUFFERED_BYTES: 512 * 1024, EDGE_READER_IDLE_MS: 60_000 } });
  const first = await openFeed(`${edge.url}/v1/signals/stream?key=key&include=cursor`);
  const cursor = encodeURIComponent(String(first.frames[0]?.["cursor"]));
  const events = await flood(() => false, 60);
  await first.received(events);
  const slow = await openFeed(`${edge.url}/v1/signals/stream?key=key&cursor=${cursor}`);
  // Reads in bursts: pauses after every hundred frames for one turn of the event loop.
  let seen = 0;
  slow.ws.on("message", () => {
    if (++seen % 100 !== 0) return;
    slow.ws.pause();
    setImmediate(() => slow.ws.resume());
  });
  await slow.first("live");
  expect(slow.visitors()).toEqual(first.visitors());
  await Promise.all([first.close(), slow.close()]);
  await edge.stop();
}, 60_000);
