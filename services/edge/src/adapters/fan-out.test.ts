/** Hub, ring and resume together on a log in memory: order, sharing, gaps, pacing, a log that is lost. */
import { quietLogger } from "@headwater/testkit";
import { describe, expect, it } from "vitest";
import type { StreamPosition } from "../domain/position.ts";
import { createFeedView } from "../surfaces/signals/view.ts";
import { MemoryLog } from "../testing/memory-log.ts";
import { StreamHub } from "./hub.ts";
import { Resumer } from "./resume.ts";
import type { Rendered } from "./rfc6455.ts";
import { type Outlet, Subscriber } from "./subscriber.ts";

/** Collects frames; a full one holds bytes until it is told to read. */
class TestOutlet implements Outlet {
  readonly visitors: string[] = [];
  readonly buffers: Buffer[] = [];
  bufferedBytes = 0;
  isOpen = true;
  isReading = true;
  #wish: { below: number; run: () => void } | undefined;

  send(rendered: Rendered): void {
    for (const chunk of rendered.chunks) {
      this.buffers.push(chunk);
      for (const match of chunk.toString("utf8").matchAll(/"visitorId":"([^"]*)"/g)) this.visitors.push(match[1] ?? "");
    }
    if (!this.isReading) this.bufferedBytes += rendered.bytes;
  }

  whenRoom(_owner: object, below: number, run: () => void): void {
    if (this.bufferedBytes < below) run();
    else this.#wish = { below, run };
  }

  read(): void {
    this.bufferedBytes = 0;
    const wish = this.#wish;
    this.#wish = undefined;
    wish?.run();
  }
}

function world(options: { ringBytes?: number; warmFrames?: number } = {}) {
  const log = new MemoryLog();
  const damaged: number[] = [];
  const onDamaged = (msg: { seq: number }) => damaged.push(msg.seq);
  const hub = new StreamHub({
    source: log,
    ringBytes: options.ringBytes ?? 1_000_000,
    warmFrames: options.warmFrames ?? 0,
    idleMs: 60_000,
    maxLingerMs: 5,
    monotonicMs: () => performance.now(),
    log: quietLogger(),
    onDamaged,
  });
  const resumer = new Resumer({ hub, source: log, maxReads: 2, log: quietLogger(), onDamaged });
  const subscribe = (from?: StreamPosition, view = createFeedView({ filter: null, includes: [], dialect: 1 })) => {
    const outlet = new TestOutlet();
    const gaps: [number, number][] = [];
    const live = Promise.withResolvers<void>();
    const subscriber = new Subscriber({
      routingKey: "acme",
      view,
      outlet,
      position: from ?? hub.end,
      lineage: { count: 0, cursorAt: (position, count) => `${position.next}.${position.at}.${count}` },
      hooks: { onGap: (a, b) => gaps.push([a.next, b.next]), onLive: live.resolve },
    });
    if (from) resumer.start(subscriber);
    else hub.attach(subscriber);
    return { outlet, subscriber, gaps, live: live.promise };
  };
  return { log, hub, resumer, subscribe, damaged };
}
const of = (...visitors: string[]) => visitors.map((v) => ({ tenant: "acme", ext: { v } }));
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
async function settled(hub: StreamHub, seq: number): Promise<void> {
  while (hub.position < seq) await turn();
  hub.flush();
}

describe("live", () => {
  it("renders once for all sockets with the same view", async () => {
    const { log, hub, subscribe } = world();
    await hub.acquire();
    const [a, b] = [subscribe(), subscribe()];
    log.write(of("1", "2"));
    await settled(hub, 1);
    expect(a.outlet.visitors).toEqual(["1", "2"]);
    expect(a.outlet.buffers[0]).toBe(b.outlet.buffers[0]);
    expect(a.subscriber.lineage.count).toBe(2);
  });

  it("a socket that joins or leaves between two frames gets exactly what lies between", async () => {
    const { log, hub, subscribe } = world();
    await hub.acquire();
    const early = subscribe();
    log.write(of("1"));
    await settled(hub, 1);
    const late = subscribe();
    log.write(of("2"));
    await settled(hub, 2);
    hub.detach(early.subscriber);
    log.write(of("3"));
    await settled(hub, 3);
    expect(early.outlet.visitors).toEqual(["1", "2"]);
    expect(late.outlet.visitors).toEqual(["2", "3"]);
  });

  it("changes the view at an exact place", async () => {
    const { log, hub, subscribe } = world();
    await hub.acquire();
    const { subscriber, outlet } = subscribe();
    log.write(of("1"));
    await settled(hub, 1);
    hub.setView(subscriber, createFeedView({ filter: { classes: ["bot"] }, includes: [], dialect: 1 }));
    log.write(of("2"));
    await settled(hub, 2);
    expect(outlet.visitors).toEqual(["1"]);
  });

  it("tells every socket when frames are damaged, and counts them", async () => {
    const { log, hub, subscribe, damaged } = world();
    await hub.acquire();
    const { outlet, gaps } = subscribe();
    log.writeRaw(Buffer.from("garbage"));
    log.writeRaw(
      Buffer.from(
        `${log.messages[0] ? "" : ""}{"v":1,"family":"signals","gen":"g","epoch":1,"in":1,"reg":1,"regs":[],"n":2,"keys":["acme"]}\nonly one line`,
      ),
    );
    log.write(of("ok"));
    await settled(hub, 3);
    expect(damaged).toEqual([1, 2]);
    expect(gaps).toEqual([
      [1, 2],
      [2, 3],
    ]);
    expect(outlet.visitors).toEqual(["ok"]);
  });
});

describe("resume", () => {
  it("reads the stream once for many, then the ring, then live", async () => {
    const { log, hub, subscribe } = world();
    for (let i = 1; i <= 50; i++) log.write(of(`v${i}`));
    await hub.acquire();
    const readsBefore = log.reads;
    const all = Array.from({ length: 20 }, (_, i) => subscribe({ next: 1 + i, at: 0 }));
    await Promise.all(all.map((one) => one.live));
    log.write(of("live"));
    await settled(hub, 51);
    all.forEach((one, i) => expect(one.outlet.visitors).toEqual([...Array.from({ length: 50 - i }, (_, k) => `v${i + 1 + k}`), "live"]));
    expect(log.reads - readsBefore).toBe(1);
  });

  it("a warm start has the newest frames in the ring, and live sockets begin at the end", async () => {
    const { log, hub, subscribe } = world({ warmFrames: 10 });
    for (let i = 1; i <= 50; i++) log.write(of(`v${i}`));
    await hub.acquire();
    expect([hub.position, hub.ring.from]).toEqual([50, 41]);
    const [live, resumed] = [subscribe(), subscribe({ next: 45, at: 0 })];
    await resumed.live;
    log.write(of("v51"));
    await settled(hub, 51);
    expect(log.reads).toBe(1);
    expect(live.outlet.visitors).toEqual(["v51"]);
    expect(resumed.outlet.visitors).toEqual(["v45", "v46", "v47", "v48", "v49", "v50", "v51"]);
  });

  it("a warm start of an empty or purged stream does not wait", async () => {
    const { log, hub } = world({ warmFrames: 10 });
    for (let i = 1; i <= 5; i++) log.write(of(`v${i}`));
    log.purge(6);
    await hub.acquire();
    expect([hub.position, hub.ring.from]).toEqual([5, 6]);
  });

  it("starts inside a frame", async () => {
    const { log, hub, subscribe } = world();
    log.write(of("a", "b", "c"));
    await hub.acquire();
    const one = subscribe({ next: 1, at: 2 });
    await one.live;
    expect(one.outlet.visitors).toEqual(["c"]);
  });

  it("a full socket holds up neither the shared read nor memory", async () => {
    const { log, hub, resumer, subscribe } = world();
    for (let i = 1; i <= 300; i++) log.write(Array.from({ length: 20 }, (_, k) => ({ tenant: "acme", ext: { v: `${i}.${k}` } })));
    await hub.acquire();
    const quick = subscribe({ next: 1, at: 0 });
    const slow = subscribe({ next: 1, at: 0 });
    slow.outlet.isReading = false;
    await quick.live;
    expect(quick.outlet.visitors).toHaveLength(6_000);
    expect(slow.outlet.bufferedBytes).toBeLessThan(600_000);
    expect(resumer.replayingCount).toBe(1);
    slow.outlet.isReading = true;
    slow.outlet.read();
    await slow.live;
    expect(slow.outlet.visitors).toEqual(quick.outlet.visitors);
  });

  it("waits when its cursor is ahead of this edge", async () => {
    const { log, hub, subscribe } = world();
    await hub.acquire();
    const one = subscribe({ next: 3, at: 0 });
    log.write(of("1"));
    log.write(of("2"));
    log.write(of("3"));
    await one.live;
    await settled(hub, 3);
    expect(one.outlet.visitors).toEqual(["3"]);
  });

  it("tells a gap when retention overtakes the replay", async () => {
    const { log, hub, subscribe } = world();
    for (let i = 1; i <= 10; i++) log.write(of(`v${i}`));
    await hub.acquire();
    log.purge(6);
    const one = subscribe({ next: 3, at: 0 });
    await one.live;
    expect(one.gaps).toEqual([[3, 6]]);
    expect(one.outlet.visitors).toEqual(["v6", "v7", "v8", "v9", "v10"]);
  });

  it("does not wait for ever for messages that are gone and had no successor", async () => {
    const { log, hub, subscribe } = world();
    for (let i = 1; i <= 5; i++) log.write(of(`v${i}`));
    await hub.acquire();
    log.messages = [];
    const one = subscribe({ next: 2, at: 0 });
    await one.live;
    expect(one.gaps).toEqual([[2, 6]]);
  });

  it("keeps exactly once in order through a tiny ring while frames keep coming", async () => {
    const { log, hub, subscribe } = world({ ringBytes: 4_000 });
    await hub.acquire();
    const expected: string[] = [];
    const started: { one: ReturnType<typeof subscribe>; from: number }[] = [];
    for (let i = 0; i < 400; i++) {
      log.write(of(`v${i}`));
      expected.push(`v${i}`);
      if (i % 40 === 20) started.push({ one: subscribe({ next: i - 10, at: 0 }), from: i - 11 });
      if (i % 7 === 0) await turn();
    }
    await Promise.all(started.map(({ one }) => one.live));
    await settled(hub, 400);
    for (const { one, from } of started) {
      expect(one.outlet.visitors).toEqual(expected.slice(from));
      expect(one.gaps).toEqual([]);
    }
  });
});

it("a log that was lost is told to live and replaying sockets, which continue with the new one", async () => {
  const { log, hub, subscribe } = world();
  for (let i = 1; i <= 5; i++) log.write(of(`old${i}`));
  await hub.acquire();
  const one = subscribe();
  log.recreate();
  log.write(of("new1"));
  log.reconnect();
  while (hub.logId !== 2 || hub.position < 1) await turn();
  hub.flush();
  expect(one.gaps).toEqual([[6, 1]]);
  expect(one.outlet.visitors).toEqual(["new1"]);
});
