/** One bad upstream among good ones: it is limited and says so in its state, the others notice nothing. */
import { MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import type { Service } from "@headwater/runtime";
import { until, type UpstreamBehaviour } from "@headwater/testkit";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { feedRecord, sealed, startUpstreamHarness, untilState, type UpstreamHarness } from "../testing/upstream-harness.ts";

const GOOD = "65f789abc1230a1b2c3d0000";
/** Made before anything runs: drawing them takes a second of computing, in which an instance in this process could not renew its leases. */
const ANYTHING = fc.sample(
  fc.oneof(
    fc.json(),
    fc.string({ unit: "binary" }),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.constantFrom("null", "[null]", "{}{}", `${"[".repeat(5_000)}${"]".repeat(5_000)}`, '{"__proto__":1}'),
  ),
  { numRuns: 200, seed: 7 },
);
let h: UpstreamHarness;
let service: Service;
let count = 0;

beforeAll(async () => {
  h = await startUpstreamHarness();
  await h.limit({ feedMessagesPerSecond: 1_000, feedBytesPerSecond: 8 * 1024 * 1024 });
  service = await h.start("ingest-0", { overrides: { upstreams: { chance: () => 0.5 } } });
  h.upstream.behave("/good", { frames: ['{"tick":1}'], everyMs: 20, repeat: true });
  await h.put(feedRecord(GOOD, { url: `${h.upstream.url}/good` }));
  await until("the good feed runs", () => h.messages(GOOD).length > 10);
});
afterAll(() => h.stop());

/** A feed of its own on a path of its own. */
async function bad(behaviour: UpstreamBehaviour, change: Parameters<typeof feedRecord>[1] = {}): Promise<{ id: string; path: string }> {
  const id = `65f789abc1230a1b2c3e${(0x1000 + count++).toString(16)}`;
  const path = `/${id}`;
  h.upstream.behave(path, behaviour);
  await h.put(feedRecord(id, { url: `${h.upstream.url}${path}`, ...change }));
  return { id, path };
}

/** The good feed stayed connected, and each of its messages was told. */
async function expectGood(during: () => Promise<void>): Promise<void> {
  const sent = (): number => h.upstream.connections("/good")[0]?.sent ?? 0;
  const before = { sent: sent(), told: h.messages(GOOD).length };
  await during();
  const due = before.told + sent() - before.sent;
  await until("the good feed's messages are told", () => h.messages(GOOD).length >= due);
  expect(h.upstream.connections("/good")).toHaveLength(1);
}

const dropped = (id: string, reason: string): number => h.state(id)?.state.dropped?.[reason] ?? 0;

describe("a bad upstream", () => {
  it("that floods is read at its limit, drops are counted and told at most once a second", async () => {
    await expectGood(async () => {
      const { id } = await bad({ flood: { perSecond: 50_000, frame: '{"type":"flood"}' } });
      const begin = performance.now();
      await until("drops are told three times", () => h.lines(id).filter((line) => line.kind === "state").length >= 5, 15_000);
      const seconds = (performance.now() - begin) / 1_000;
      expect(h.state(id)?.state).toMatchObject({ status: "connected", dropped: { rate: expect.any(Number) as number } });
      expect(dropped(id, "rate")).toBeGreaterThan(500);
      // A second's worth in advance, then the rate; drops cost reading too, so they are bounded as well.
      expect(h.messages(id).length).toBeLessThanOrEqual(1_000 * (seconds + 2));
      expect(dropped(id, "rate")).toBeLessThan(8_000 * (seconds + 2));
      const told = h.lines(id).flatMap((line) => (line.kind === "state" && line.state.dropped ? [line.ts] : []));
      for (const [i, ts] of told.slice(1).entries()) expect(ts - (told[i] ?? 0)).toBeGreaterThanOrEqual(900);
      await h.remove(id);
      await untilState(h, id, "stopped");
    });
  });

  it("that sends batches is read at its limit of elements", async () => {
    await expectGood(async () => {
      const element = '{"s":"A"}';
      const frame = `[${Array.from({ length: 500 }, () => element).join(",")}]`;
      const routed = { enableTopicRouting: true, topicField: "s" };
      const begin = performance.now();
      const { id } = await bad({ flood: { perSecond: 200, frame } }, routed);
      await until("drops are told three times", () => h.lines(id).filter((line) => line.kind === "state").length >= 5, 15_000);
      const seconds = (performance.now() - begin) / 1_000;
      // A second's worth in advance, then the rate, and one batch more than there is room for.
      expect(h.messages(id).length).toBeGreaterThanOrEqual(2);
      expect(h.messages(id).length * 500).toBeLessThanOrEqual(1_000 * (seconds + 2));
      expect(dropped(id, "rate")).toBeGreaterThan(0);
      await h.remove(id);
    });
  });

  it("that flaps is waited for longer and longer, under one number sequence", async () => {
    await expectGood(async () => {
      const { id, path } = await bad({ frames: ['{"hello":1}'], flapMs: 60 }, { reconnectionDelay: 50 });
      await until("five connections", () => h.upstream.connections(path).length >= 5);
      expect(h.upstream.mostAtOnce(path)).toBe(1);
      const opened = h.upstream.connections(path).map(({ openedAt }) => openedAt);
      const gaps = opened.slice(1).map((at, i) => at - (opened[i] ?? 0));
      expect(gaps[3] ?? 0).toBeGreaterThan(400);
      await until("it is told", () => h.lines(id).some((line) => line.kind === "state" && line.state.attempt === 5));
      expect(h.lines(id).find((line) => line.kind === "state" && line.state.status === "reconnecting")).toMatchObject({
        state: { error: "connection lost", attempt: 1 },
      });
      const lines = h.lines(id);
      expect(lines.map(({ n }) => n)).toEqual(lines.map((_, i) => i + 1));
      await h.remove(id);
    });
  });

  it.each([
    ["null and emptiness", { frames: ["null", "", " ", "null"], repeat: true, everyMs: 1 }, "empty"],
    ["bytes that are no text", { frames: [Buffer.from([0xff, 0xfe, 0x00])], repeat: true, everyMs: 1 }, "undecodable"],
  ] as const)("that sends %s stays connected and is counted (W1)", async (_what, behaviour, reason) => {
    await expectGood(async () => {
      const { id } = await bad(behaviour);
      await until("drops are told", () => dropped(id, reason) > 20);
      expect(h.state(id)?.state.status).toBe("connected");
      expect(h.messages(id)).toEqual([]);
      await h.remove(id);
    });
  });

  it.each([
    ["a frame of 100 MB", { hugeBytes: 100 * 1024 * 1024 }, `a message is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`],
    ["fragments without end", { endlessFragments: 50_000 }, `a message is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`],
    ["invalid UTF-8", { invalidUtf8: true }, "a text message is not UTF-8"],
  ] as const)("that sends %s is an error, and is tried again later", async (_what, behaviour, error) => {
    await expectGood(async () => {
      const { id, path } = await bad(behaviour, { reconnectionDelay: 300 });
      await until("two attempts", () => h.upstream.connections(path).length >= 2, 15_000);
      expect(h.lines(id).find((line) => line.kind === "state" && line.state.status === "error")).toMatchObject({
        state: { error, attempt: 1 },
      });
      await h.remove(id);
    });
  });

  it("whose message grows in the log beyond what a message may be loses that one only", async () => {
    await h.limit({ feedMessagesPerSecond: 1_000, feedBytesPerSecond: 64 * 1024 * 1024 });
    const { id } = await bad({ frames: ["\u0001".repeat(MAX_UPSTREAM_MESSAGE_BYTES), "after"] });
    await until("the next message", () => h.messages(id).length === 1);
    await until("the drop is told", () => dropped(id, "size") === 1);
    expect(h.messages(id)).toEqual(["after"]);
    await h.remove(id);
    await h.limit({ feedMessagesPerSecond: 1_000, feedBytesPerSecond: 8 * 1024 * 1024 });
  });

  it("that refuses is tried for ever, or as often as the feed says, or once (W18)", async () => {
    const forever = await bad({ refuse: 500 }, { reconnectionDelay: 10 });
    const thrice = await bad({ refuse: 500 }, { reconnectionDelay: 10, reconnectionAttempts: 2 });
    const once = await bad({ refuse: 500 }, { reconnectionEnabled: false });
    await until("the endless one", () => h.upstream.attempts(forever.path) >= 6);
    await until("the others say so", () => h.state(thrice.id)?.state.attempt === 3 && h.state(once.id)?.state.attempt === 1);
    expect(h.state(thrice.id)?.state).toEqual({ status: "error", error: "handshake was answered with 500", attempt: 3 });
    expect(h.state(once.id)?.state.status).toBe("error");
    expect([h.upstream.attempts(thrice.path), h.upstream.attempts(once.path)]).toEqual([3, 1]);
    // An edit is a new beginning.
    h.upstream.behave(`${once.path}/new`, {});
    await h.put(feedRecord(once.id, { url: `${h.upstream.url}${once.path}/new`, reconnectionEnabled: false }));
    await untilState(h, once.id, "connected");
    for (const { id } of [forever, thrice, once]) await h.remove(id);
  });

  it("with settings nobody can use says so and waits for an edit", async () => {
    const schema = await bad({}, { connectionType: "protobuf", dataFormat: "protobuf", protobufSchema: "{", protobufType: "T" });
    await untilState(h, schema.id, "error");
    expect(h.state(schema.id)?.state.error).toBe("protobufSchema cannot be read or does not define protobufType");
    const other = sealed("another feed", { headers: [{ key: "a", value: "b" }] });
    const credentials = await bad({}, other);
    await untilState(h, credentials.id, "error");
    expect(h.state(credentials.id)?.state.error).toBe("the feed's credentials cannot be read");
    expect(h.upstream.attempts(schema.path) + h.upstream.attempts(credentials.path)).toBe(0);
    await h.put(feedRecord(credentials.id, { url: `${h.upstream.url}${credentials.path}` }));
    await untilState(h, credentials.id, "connected");
    for (const { id } of [schema, credentials]) await h.remove(id);
  });

  it("at a private address is never asked (W8)", async () => {
    const id = "65f789abc1230a1b2c3d00aa";
    await h.put(feedRecord(id, { url: `ws://127.0.0.2:${h.upstream.port}/private` }));
    await untilState(h, id, "reconnecting");
    expect(h.state(id)?.state.error).toBe("url is not allowed");
    expect(h.upstream.attempts("/private")).toBe(0);
    await h.remove(id);
  });

  it("that sends anything at all does not end the process (W1)", async () => {
    // Every frame is to be read, none dropped for its size.
    await h.limit({ feedMessagesPerSecond: 10_000, feedBytesPerSecond: 256 * 1024 * 1024 });
    await expectGood(async () => {
      for (const dataFormat of ["json", "text", "ndjson", "csv"] as const) {
        const { id } = await bad({ frames: [...ANYTHING, "end-of-frames"] }, { dataFormat });
        await until(`the last frame of ${dataFormat}`, () => h.messages(id).some((message) => message.includes("end-of-frames")), 15_000);
        await h.remove(id);
      }
    });
    expect(service.health().status).toBe("up");
  });
});

describe("the log away", () => {
  it("drops the newest, counts, and says so when it is back; the connection stays", async () => {
    const { id, path } = await bad({ frames: ['{"a":1}'], everyMs: 20, repeat: true });
    await until("it runs", () => h.messages(id).length > 5);
    h.nats.kill();
    await until("the log is back and drops are told", () => dropped(id, "log_away") > 0, 20_000);
    const before = h.messages(id).length;
    await until("it goes on", () => h.messages(id).length > before + 5);
    expect(h.upstream.mostAtOnce(path)).toBe(1);
    const numbers = h
      .lines(id)
      .filter(({ epoch }) => epoch === h.lines(id).at(-1)?.epoch)
      .map(({ n }) => n);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    await h.remove(id);
  });
});

describe("metrics", () => {
  it("count by state and reason and know no feed", async () => {
    const text = await service.metrics.metrics();
    expect(text).toMatch(/headwater_upstream_feeds\{status="connected"[^}]*\} \d/);
    expect(text).toMatch(/headwater_upstream_dropped_total\{reason="rate"[^}]*\} [1-9]/);
    expect(text).toMatch(/headwater_upstream_pauses_total\{[^}]*\} [1-9]/);
    expect(text).not.toContain(GOOD);
    expect(service.status()["upstreams"]).toMatchObject({
      lanes: Array.from({ length: 16 }, (_, lane) => lane),
      messages: expect.any(Number) as number,
    });
  });
});
