/** Continuing where a client stopped: by cursor through the ring, the stream and a new edge; by time; and gaps that are told. */
import fc from "fast-check";
import { purgeStream } from "@headwater/messaging";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { type FeedSocket, openFeed, refusedFeed } from "./testing/feed-socket.ts";
import type { TestOutput } from "./testing/test-frame.ts";

let fixture: EdgeFixture;
let edge: RunningEdge;
let written: string[] = [];
let counter = 0;
const sockets: FeedSocket[] = [];
const PATH = "/v1/signals/stream?key=key";

beforeAll(async () => {
  fixture = await startEdgeFixture();
  fixture.addKey("key", "acme");
  fixture.addKey("other", "globex");
  edge = await fixture.startEdge({ config: { EDGE_READER_IDLE_MS: 60_000 } });
});
afterEach(async () => {
  await Promise.all(sockets.splice(0).map((socket) => socket.close()));
});
afterAll(() => fixture.stop());

const open = async (query = "", at: RunningEdge = edge): Promise<FeedSocket> => {
  const socket = await openFeed(`${at.url}${PATH}${query}`);
  sockets.push(socket);
  return socket;
};
/** Frames of a few events, ours mixed with another tenant's. */
async function write(frames: number): Promise<void> {
  for (let frame = 0; frame < frames; frame++) {
    const outputs: TestOutput[] = [];
    const size = 1 + (counter % 5);
    for (let i = 0; i < size; i++) {
      const v = `vis_${counter++}`;
      outputs.push({ tenant: "acme", ext: { v } });
      written.push(v);
      if (counter % 3 === 0) outputs.push({ tenant: "globex" });
    }
    await fixture.publish(outputs, { lane: counter % 16 });
  }
}
const cursorOf = (frame: Record<string, unknown> | undefined): string => encodeURIComponent(String(frame?.["cursor"]));

describe("by cursor", () => {
  it("continues behind any event, exactly once and in order, from the ring", async () => {
    written = [];
    const reader = await open("&include=cursor");
    await write(30);
    await reader.received(written.length);
    for (const index of [0, 1, 7, 40, written.length - 1]) {
      const again = await open(`&include=cursor&cursor=${cursorOf(reader.events()[index])}`);
      expect(again.frames[0]).toMatchObject({ type: "hello", resumed: true });
      await again.first("live");
      expect(again.visitors()).toEqual(written.slice(index + 1));
      expect(again.events().map((event) => event["seq"])).toEqual(written.slice(index + 1).map((_, i) => index + 2 + i));
    }
  });

  it("continues on a new edge from the stream, then live, byte for byte the same", async () => {
    written = [];
    const reader = await open("&include=cursor,ids,time");
    await write(40);
    await reader.received(written.length);
    const second = await fixture.startEdge({ instanceId: "edge-1" });
    const again = await open(`&include=cursor,ids,time&cursor=${cursorOf(reader.events()[10])}`, second);
    await again.first("live");
    await write(5);
    await Promise.all([again.received(written.length - 11), reader.received(written.length)]);
    expect(again.events()).toEqual(reader.events().slice(11));
    const order = again.frames.map((frame) => frame.type).filter((type) => type !== "ping");
    expect(order.filter((type) => type === "live")).toHaveLength(1);
    await second.stop();
  });

  it("from hello's cursor when nothing was received yet, and from live's and duration's", async () => {
    const first = await open();
    await first.close();
    written = [];
    // What the edge has not read yet when a replay catches up would follow `live`: a witness says when it has read all.
    const witness = await open();
    await write(3);
    await witness.received(written.length);
    await witness.close();
    const again = await open(`&cursor=${cursorOf(first.frames[0])}`);
    const live = await again.first("live");
    expect(again.visitors()).toEqual(written);
    const third = await open(`&cursor=${cursorOf(live)}`);
    await third.first("live");
    expect(third.visitors()).toEqual([]);
  });

  it("while events keep coming: no gap, no overlap", async () => {
    written = [];
    const reader = await open("&include=cursor");
    await write(20);
    await reader.received(written.length);
    const second = await fixture.startEdge({ instanceId: "edge-2" });
    const writing = write(200);
    const again = await Promise.all([3, 9, 17].map((index) => open(`&cursor=${cursorOf(reader.events()[index])}`, second)));
    await writing;
    await reader.received(written.length);
    for (const [i, socket] of again.entries()) {
      const from = [3, 9, 17][i] ?? 0;
      await socket.received(written.length - from - 1);
      expect(socket.visitors()).toEqual(written.slice(from + 1));
    }
    await second.stop();
  });

  it("random cut points, ring and stream, chained reconnects: every event exactly once", async () => {
    written = [];
    const anchor = await open("&include=cursor");
    const start = cursorOf(anchor.frames[0]);
    await write(60);
    const tiny = await fixture.startEdge({ instanceId: "edge-3", config: { EDGE_RING_BYTES: 65_536, EDGE_READER_IDLE_MS: 0 } });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }), async (cuts) => {
        let cursor = start;
        const seen: string[] = [];
        for (const [i, take] of [...cuts, written.length].entries()) {
          const at = i % 2 === 0 ? tiny : edge;
          const socket = await openFeed(`${at.url}${PATH}&include=cursor&cursor=${cursor}`);
          const wanted = Math.min(take, written.length - seen.length);
          await socket.received(wanted);
          // The client uses only so many and forgets the rest it may have been sent.
          const used = socket.events().slice(0, wanted);
          seen.push(...used.map((event) => String(event["visitorId"])));
          if (used.length > 0) cursor = cursorOf(used.at(-1));
          socket.ws.terminate();
          await socket.closed;
        }
        expect(seen).toEqual(written);
      }),
      { numRuns: 15 },
    );
    await tiny.stop();
  });

  it("a hundred sockets at once from the stream share few reads and miss nothing", async () => {
    written = [];
    const reader = await open("&include=cursor");
    await write(60);
    await reader.received(written.length);
    const fresh = await fixture.startEdge({ instanceId: "edge-4" });
    const storm = await Promise.all(
      Array.from({ length: 100 }, (_, i) => open(`&cursor=${cursorOf(reader.events()[i % 50])}`, fresh).then((socket) => ({ socket, i }))),
    );
    for (const { socket, i } of storm) {
      await socket.first("live");
      expect(socket.visitors()).toEqual(written.slice((i % 50) + 1));
    }
    await fresh.stop();
  });

  it("a warm edge serves a hundred sockets without reading the stream for them", async () => {
    written = [];
    const reader = await open("&include=cursor");
    await write(30);
    await reader.received(written.length);
    const warm = await fixture.startEdge({ instanceId: "edge-warm", config: { EDGE_WARM_FRAMES: 1_000 } });
    const storm = await Promise.all(Array.from({ length: 100 }, (_, i) => open(`&cursor=${cursorOf(reader.events()[i % 20])}`, warm)));
    for (const [i, socket] of storm.entries()) {
      await socket.first("live");
      expect(socket.visitors()).toEqual(written.slice((i % 20) + 1));
      expect(socket.frames.some((frame) => frame.type === "gap")).toBe(false);
    }
    await warm.stop();
  });

  it("belongs to its tenant and to nobody else", async () => {
    const mine = await open();
    const refusal = await refusedFeed(`${edge.url}/v1/signals/stream?key=other&cursor=${cursorOf(mine.frames[0])}`);
    expect([refusal.status, refusal.body["error"]]).toEqual([400, "invalid_cursor"]);
    const damaged = String(mine.frames[0]?.["cursor"]).replace(/.$/, (last) => (last === "A" ? "B" : "A"));
    expect((await refusedFeed(`${edge.url}${PATH}&cursor=${damaged}`)).body["error"]).toBe("invalid_cursor");
  });
});

describe("by time", () => {
  it("since an age gives what is stored, then live", async () => {
    written = [];
    const from = Date.now();
    const witness = await open();
    for (let i = 0; i < 5; i++) await fixture.publish([{ tenant: "acme", ext: { v: `since_${i}`, ts: from + i } }]);
    // Read by the edge: what it has not read yet would follow `live`.
    await witness.received(5);
    const socket = await open(`&since=${from + 2}`);
    await socket.first("live");
    expect(socket.visitors()).toEqual(["since_2", "since_3", "since_4"]);
    const fresh = await fixture.startEdge({ instanceId: "edge-5" });
    const other = await open(`&since=${from + 3}`, fresh);
    await other.first("live");
    expect(other.visitors()).toEqual(["since_3", "since_4"]);
    await fixture.publish([{ tenant: "acme", ext: { v: "since_live", ts: from - 5 } }]);
    await other.received(3);
    expect(other.visitors().at(-1)).toBe("since_live");
    await fresh.stop();
  });

  it("a time in the future is live at once, and says so", async () => {
    const socket = await open(`&since=${Date.now() + 60_000}`);
    await socket.first("live");
    expect(socket.frames.map((frame) => frame.type)).toEqual(["hello", "live"]);
    expect(socket.frames[0]).toMatchObject({ resumed: true });
    await fixture.publish([{ tenant: "acme", ext: { v: "not_future" } }]);
    await socket.received(1);
    expect(socket.visitors()).toEqual(["not_future"]);
  });
});

describe("F13: what is no longer kept", () => {
  it("is told as a gap and continued from the oldest kept, or refused with onGap=fail", async () => {
    written = [];
    const reader = await open("&include=cursor");
    await write(10);
    await reader.received(written.length);
    const cursor = cursorOf(reader.events()[0]);
    const last = await fixture.publish([{ tenant: "acme", ext: { v: "kept" } }]);
    await purgeStream(fixture.client, "SIGNALS", { seq: last });
    const fresh = await fixture.startEdge({ instanceId: "edge-6" });
    const socket = await open(`&cursor=${cursor}`, fresh);
    await socket.first("live");
    expect(socket.frames.map((frame) => frame.type)).toEqual(["hello", "gap", "event", "live"]);
    expect(socket.frames[1]).toMatchObject({ reason: "retention", fromCursor: decodeURIComponent(cursor), toCursor: expect.any(String) });
    expect(socket.visitors()).toEqual(["kept"]);
    const refusal = await refusedFeed(`${fresh.url}${PATH}&onGap=fail&cursor=${cursor}`);
    expect([refusal.status, refusal.body["error"]]).toEqual([410, "cursor_expired"]);
    const since = await open("&since=-1h", fresh);
    await since.first("live");
    expect(since.frames.map((frame) => frame.type).slice(0, 2)).toEqual(["hello", "gap"]);
    await fresh.stop();
  });
});
