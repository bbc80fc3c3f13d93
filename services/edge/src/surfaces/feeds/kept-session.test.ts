/** Sessions against a store in memory that refuses, fails and forgets like the broker does. */
import { decodeSocketSession, encodeSocketSession, type SocketSessionRecord } from "@headwater/protocol";
import { quietLogger } from "@headwater/testkit";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { SocketSessionStore } from "../../adapters/socket-session-store.ts";
import type { SocketIdentity } from "../../domain/socket-access.ts";
import { KeptSessions, type Listened, requestsOf } from "./kept-session.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

// The store makes a key of tenant, user and name.
const ACCOUNT = { tenantId: "t", userId: "u" } as SocketIdentity;
const listening = (...ids: string[]): Listened => ({
  cursors: false,
  feeds: ids.map((id) => ({ id, raw: true, llm: false, topics: [], dataTopics: [] })),
});

function world() {
  const stored = new Map<string, { seq: number; text: string }>();
  const w = {
    seq: 0,
    now: 1_000_000,
    writes: 0,
    /** Fails the question; `late`: after it was done. */
    fault: (_what: "read" | "write"): "away" | "late" | undefined => undefined,
    /** Between being asked and answering. */
    meanwhile: async (_what: "read" | "write"): Promise<void> => undefined,
    forget: () => stored.clear(),
    damage: () => stored.forEach((entry) => (entry.text = "{")),
    record: (): SocketSessionRecord | undefined => decodeSocketSession(Buffer.from(stored.get("t u s")?.text ?? "")),
  };
  const store: SocketSessionStore = {
    keyOf: ({ tenantId, userId }, sessionId) => `${tenantId} ${userId} ${sessionId}`,
    async read(key) {
      const fault = w.fault("read");
      await w.meanwhile("read");
      if (fault) throw new Error("away");
      const entry = stored.get(key);
      return { seq: entry?.seq ?? 0, record: entry && decodeSocketSession(Buffer.from(entry.text)) };
    },
    async write(key, record, expected) {
      const fault = w.fault("write");
      await w.meanwhile("write");
      if (fault === "away") throw new Error("away");
      if ((stored.get(key)?.seq ?? 0) !== expected) return undefined;
      stored.set(key, { seq: ++w.seq, text: encodeSocketSession(record) });
      w.writes++;
      if (fault === "late") throw new Error("no answer");
      return w.seq;
    },
  };
  const clock = { now: () => w.now, monotonicMs: () => w.now };
  const sessions = new KeptSessions({ store, clock, log: quietLogger() });
  const socket = (listened = listening(), sessionId = "s") => {
    const now = { listened };
    const session = sessions.open(ACCOUNT, sessionId, () => now.listened);
    return Object.assign(now, {
      session,
      async listen(...ids: string[]) {
        now.listened = listening(...ids);
        session.changed();
        await written();
      },
    });
  };
  return Object.assign(w, { sessions, socket });
}
/** Everything that was to be written soon is. */
const written = () => vi.advanceTimersByTimeAsync(5_000);
const ids = (listened: Listened | undefined) => listened?.feeds.map(({ id }) => id);

describe("a session", () => {
  it("gives the next socket what the last one listened to, and nothing to the first", async () => {
    const w = world();
    const first = w.socket();
    expect(await first.session.claim()).toBeUndefined();
    await first.listen("a", "b");
    first.session.end("kept");
    await written();
    const next = w.socket();
    expect(ids(await next.session.claim())).toEqual(["a", "b"]);
    // Subscribed: only what may be is left.
    next.listened = listening("b");
    next.session.restored();
    await written();
    expect(ids(w.record())).toEqual(["b"]);
  });

  it("writes a burst once, and nothing that did not change", async () => {
    const w = world();
    const { session, ...s } = w.socket();
    await session.claim();
    expect(w.writes).toBe(1);
    for (let i = 0; i < 50; i++) session.changed();
    await written();
    session.sweep();
    await written();
    expect([w.writes, s.listened.feeds]).toEqual([2, []]);
  });

  it("is there for 60 s after the socket, whatever was written before", async () => {
    for (const [afterMs, found] of [
      [60_000, ["a"]],
      [60_001, undefined],
    ] as const) {
      // biome-ignore format: one line
      const w = world();
      const first = w.socket();
      await first.session.claim();
      await first.listen("a");
      w.now += 3_600_000;
      first.session.end("kept");
      await written();
      w.now += afterMs;
      expect(ids(await w.socket().session.claim())).toEqual(found);
    }
  });

  it("is refreshed every 20 s, so that it is there 40 s after an edge died", async () => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    await first.listen("a");
    for (let s = 0; s < 300; s++) {
      w.now += 1_000;
      first.session.sweep();
      await vi.advanceTimersByTimeAsync(0);
      expect(w.now - (w.record()?.at ?? 0)).toBeLessThanOrEqual(20_000);
    }
    expect(w.writes).toBe(2 + 300 / 20);
    w.now += 40_000;
    expect(ids(await w.socket().session.claim())).toEqual(["a"]);
  });

  it("of another name is another one; a name given up is empty", async () => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    await first.listen("a");
    expect(await w.socket(listening(), "other").session.claim()).toBeUndefined();
    first.session.end("forgotten");
    await written();
    expect(ids(await w.socket().session.claim())).toEqual([]);
  });
});

describe("the newest socket has the session", () => {
  it("an older one that is still open writes nothing any more, whatever happens to it", async () => {
    const w = world();
    const old = w.socket();
    await old.session.claim();
    await old.listen("a");
    const next = w.socket();
    await next.session.claim();
    next.listened = listening("a", "b");
    next.session.restored();
    await written();
    const { writes } = w;
    await old.listen("old");
    w.now += 30_000;
    old.session.sweep();
    await written();
    old.session.end("kept");
    old.session.end("forgotten");
    await written();
    expect([w.writes, ids(w.record())]).toEqual([writes, ["a", "b"]]);
  });

  it("also when its clock is behind", async () => {
    const w = world();
    const old = w.socket();
    await old.session.claim();
    await old.listen("a");
    w.now -= 5_000;
    const next = w.socket(listening("b"));
    expect(ids(await next.session.claim())).toEqual(["a"]);
    next.session.restored();
    await written();
    await old.listen("old");
    expect(ids(w.record())).toEqual(["b"]);
  });

  it("also when both take it at the same moment", async () => {
    const w = world();
    const both = [w.socket(listening("a")), w.socket(listening("b"))];
    await Promise.all(both.map(({ session }) => session.claim()));
    for (const { session } of both) {
      session.restored();
      session.changed();
    }
    await written();
    const holder = w.record();
    for (const { session } of both) session.end("kept");
    await written();
    expect(["a", "b"]).toContain(ids(holder)?.[0]);
    expect(ids(w.record())).toEqual(ids(holder));
  });

  it("whatever they do in whatever order, with questions lost on the way", async () => {
    const step = fc.record({
      socket: fc.nat(3),
      does: fc.constantFrom("claim", "listen", "sweep", "end"),
      loses: fc.constantFrom(0, 0, 0, 1, 2),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const w = world();
        const sockets = ["a", "b", "c", "d"].map((id) => ({ id, ...w.socket(listening(id)), isOpen: false, wasOpen: false }));
        let newest: string | undefined;
        for (const { socket, does, loses } of steps) {
          const s = sockets[socket];
          if (!s) continue;
          let left = does === "claim" ? 0 : loses;
          w.fault = () => (left-- > 0 ? (left % 2 === 0 ? "late" : "away") : undefined);
          w.now += 100;
          if (does === "claim" && !s.wasOpen) {
            s.isOpen = s.wasOpen = true;
            newest = s.id;
            await s.session.claim();
            s.session.restored();
          } else if (does === "end" && s.isOpen) {
            s.isOpen = false;
            s.session.end("kept");
          } else if (does === "listen" && s.isOpen) s.session.changed();
          else if (does === "sweep" && s.isOpen) s.session.sweep();
          await written();
        }
        w.fault = () => undefined;
        for (const s of sockets) if (s.isOpen) s.session.sweep();
        await written();
        const isOpen = sockets.some((s) => s.id === newest && s.isOpen);
        // Its very first list may have been its last one that arrived.
        if (isOpen) expect(ids(w.record())).toEqual([newest]);
        expect(w.record() === undefined).toBe(newest === undefined);
      }),
      { numRuns: 200 },
    );
  });
});

describe("when the broker does not answer", () => {
  it("a socket goes on without, and is kept from the first sweep that arrives", async () => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    await first.listen("a");
    w.fault = () => "away";
    w.now += 1;
    const next = w.socket(listening("b"));
    expect(await next.session.claim()).toBeUndefined();
    next.session.sweep();
    await written();
    expect(ids(w.record())).toEqual(["a"]);
    w.fault = () => undefined;
    w.now += 1_000;
    next.session.sweep();
    await written();
    expect(ids(w.record())).toEqual(["b"]);
  });

  it("a socket older than the one that has it meanwhile does not take it back", async () => {
    const w = world();
    w.fault = () => "away";
    const old = w.socket(listening("old"));
    await old.session.claim();
    w.fault = () => undefined;
    w.now += 1;
    const next = w.socket(listening("b"));
    await next.session.claim();
    next.session.changed();
    await written();
    old.session.sweep();
    await written();
    expect(ids(w.record())).toEqual(["b"]);
  });

  it("what was stored without an answer is its own", async () => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    w.fault = (what) => (what === "write" ? "late" : undefined);
    await first.listen("a");
    w.fault = () => undefined;
    first.listened = listening("a", "b");
    first.session.sweep();
    await written();
    expect(ids(w.record())).toEqual(["a", "b"]);
  });

  it("one that lost everything is told again", async () => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    await first.listen("a");
    w.forget();
    await first.listen("a", "b");
    expect(ids(w.record())).toEqual(["a", "b"]);
  });

  it("a record nobody can read gives nothing back and is replaced", async () => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    await first.listen("a");
    w.damage();
    const next = w.socket(listening("b"));
    expect(await next.session.claim()).toBeUndefined();
    expect(ids(w.record())).toEqual(["b"]);
  });
});

describe("a socket that ends", () => {
  it.each(["read", "write"] as const)("while its claim waits for a %s leaves what it found", async (waiting) => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    await first.listen("a");
    first.session.end("kept");
    await written();
    const next = w.socket();
    w.meanwhile = async (what) => {
      if (what === waiting) next.session.end("kept");
    };
    expect(await next.session.claim()).toBeUndefined();
    await written();
    expect(ids(w.record())).toEqual(["a"]);
  });

  it("before what it found is subscribed leaves that", async () => {
    const w = world();
    const first = w.socket();
    await first.session.claim();
    await first.listen("a");
    const next = w.socket();
    await next.session.claim();
    next.session.changed();
    next.session.end("kept");
    await written();
    expect(ids(await w.socket().session.claim())).toEqual(["a"]);
  });

  it("during a write leaves its last list, and a stopping edge waits for it", async () => {
    const w = world();
    const first = w.socket(listening("a"));
    await first.session.claim();
    const gate = Promise.withResolvers<void>();
    w.meanwhile = () => gate.promise;
    await first.listen("a", "b");
    first.listened = listening("c");
    first.session.end("kept");
    first.listened = listening();
    const endedAt = w.now;
    w.now += 1_500;
    let isStopped = false;
    const stopping = w.sessions.stop().then(() => (isStopped = true));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(isStopped).toBe(false);
    gate.resolve();
    await stopping;
    expect([ids(w.record()), w.record()?.at]).toEqual([["c"], endedAt]);
  });

  it("is not waited for when the broker never answers", async () => {
    const w = world();
    const first = w.socket(listening("a"));
    await first.session.claim();
    w.meanwhile = () => Promise.withResolvers<void>().promise;
    first.session.end("kept");
    const stopping = w.sessions.stop();
    await vi.advanceTimersByTimeAsync(2_000);
    await stopping;
    expect(ids(w.record())).toEqual(["a"]);
  });
});

it("requests of a list are each half alone, topics as they were", () => {
  expect(requestsOf([{ id: "f", raw: true, llm: true, topics: ["A"], dataTopics: ["B"] }])).toEqual([
    { type: "subscribe-feed", payload: { feedId: "f" } },
    { type: "subscribe-llm", payload: { feedId: "f" } },
    { type: "subscribe-topic", payload: { feedId: "f", topic: "B", include: ["data"] } },
    { type: "subscribe-topic", payload: { feedId: "f", topic: "A" } },
  ]);
});
