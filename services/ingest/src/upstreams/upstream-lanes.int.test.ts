/** Ownership and life of upstream connections on a real nats-server: once per cluster, wanted only, changed at once, taken over. */
import { afterEach, describe, expect, it } from "vitest";
import { until } from "@headwater/testkit";
import { feedRecord, sealed, startUpstreamHarness, untilState, type UpstreamHarness } from "../testing/upstream-harness.ts";

const FEED = "65f789abc1230a1b2c3d4e5f";
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function harness(options: Parameters<typeof startUpstreamHarness>[0] = {}): Promise<UpstreamHarness> {
  const h = await startUpstreamHarness(options);
  stops.push(() => h.stop());
  return h;
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `65f789abc1230a1b2c3d${(0x4000 + i).toString(16)}`);

describe("a wanted feed", () => {
  it("is connected with its query, headers and messages in order, and its messages are in the log in order", async () => {
    const h = await harness({ behaviour: { afterMessages: 3, frames: ['{"a":1}', '{"big":12345678901234567890}', "plain", "null", ""] } });
    await h.start("ingest-0");
    const secrets = sealed(FEED, {
      queryParams: [
        { key: "x", value: "2" },
        { key: " ", value: "skipped" },
      ],
      headers: [
        { key: "X-Token", value: "t1" },
        { key: "X-Token", value: "t2" },
      ],
      connectionMessage: "legacy",
    });
    await h.put(feedRecord(FEED, { url: `${h.upstream.url}/a?x=1&y=3`, connectionMessages: ["one", '{"two":2}'], ...secrets }));
    await until("three messages and two drops", () => h.messages(FEED).length === 3 && h.state(FEED)?.state.dropped?.["empty"] === 2);
    expect(h.messages(FEED)).toEqual(['{"a":1}', '{"big":12345678901234567890}', "plain"]);
    const [connection] = h.upstream.connections("/a");
    expect(connection?.messages).toEqual(["legacy", "one", '{"two":2}']);
    expect(connection?.headers["x-token"]).toBe("t1, t2");
    const lines = h.lines(FEED);
    expect(lines.map(({ n }) => n)).toEqual(lines.map((_, i) => i + 1));
    expect(new Set(lines.map(({ epoch }) => epoch)).size).toBe(1);
    expect(lines.flatMap((line) => (line.kind === "state" ? [line.state.status] : [])).slice(0, 2)).toEqual(["connecting", "connected"]);
  });

  it("reconnects at once when its connection is edited, and not when its name or topics are (W17)", async () => {
    const h = await harness();
    await h.start("ingest-0");
    const record = feedRecord(FEED, { url: `${h.upstream.url}/a`, ...sealed(FEED, { headers: [{ key: "k", value: "1" }] }) });
    await h.put(record);
    await untilState(h, FEED, "connected");
    // Sealed anew, the same credentials look different.
    await h.put({
      ...record,
      name: "other",
      enableTopicRouting: true,
      topicField: "s",
      ...sealed(FEED, { headers: [{ key: "k", value: "1" }] }),
    });
    await h.put({ ...record, url: `${h.upstream.url}/b` });
    await until("the new address", () => h.upstream.open("/b").length === 1);
    // The old one had ended before.
    expect(h.upstream.open("/a")).toEqual([]);
    expect(h.upstream.connections("/a")).toHaveLength(1);
    await h.put({ ...record, url: `${h.upstream.url}/b`, ...sealed(FEED, { headers: [{ key: "k", value: "2" }] }) });
    await until("new credentials", () => h.upstream.open("/b")[0]?.headers["k"] === "2");
    await h.put({ ...record, url: `${h.upstream.url}/b`, isActive: false });
    await untilState(h, FEED, "stopped");
    // The state is stored while the upstream is still being told.
    await until("nothing is open", () => h.upstream.open().length === 0);
  });

  it("does not come back when it is deleted while it waits to reconnect (W18)", async () => {
    const h = await harness({ behaviour: { refuse: 503 } });
    await h.start("ingest-0");
    await h.put(feedRecord(FEED, { url: `${h.upstream.url}/a`, reconnectionDelay: 200 }));
    await until("two attempts", () => h.upstream.attempts("/a") >= 2);
    await h.remove(FEED);
    await untilState(h, FEED, "stopped");
    const attempts = h.upstream.attempts("/a");
    // Another feed that is refused in the same way proves that enough time passed for a third attempt.
    const [other = ""] = ids(1);
    await h.put(feedRecord(other, { url: `${h.upstream.url}/other`, reconnectionDelay: 200 }));
    await until("the other feed's fourth attempt", () => h.upstream.attempts("/other") >= 4);
    expect(h.upstream.attempts("/a")).toBe(attempts);
  });

  it("connects while somebody listens and for the idle time after", async () => {
    const h = await harness();
    await h.start("ingest-0", { config: { feedIdleTimeoutMs: 600 } });
    await h.put(feedRecord(FEED, { url: `${h.upstream.url}/a`, hasSubscriptions: false }));
    h.listen({ [FEED]: 2 });
    await untilState(h, FEED, "connected");
    const leftAt = performance.now();
    h.listen({});
    await untilState(h, FEED, "stopped");
    expect(performance.now() - leftAt).toBeGreaterThan(500);
    h.listen({ [FEED]: 1 });
    await untilState(h, FEED, "connected");
    // Numbers go on under the same epoch, though the connection is another.
    const lines = h.lines(FEED);
    expect(lines.map(({ n }) => n)).toEqual(lines.map((_, i) => i + 1));
    expect(h.upstream.mostAtOnce("/a")).toBe(1);
  });
});

describe("two instances", () => {
  it("share the feeds, each connected exactly once; a clean stop hands them over (W11, W28)", async () => {
    const h = await harness();
    const first = await h.start("ingest-0");
    const feeds = ids(40);
    await Promise.all(feeds.map((id) => h.put(feedRecord(id, { url: `${h.upstream.url}/${id}` }))));
    await until("all connected", () => h.upstream.open().length === feeds.length);
    const second = await h.start("ingest-1");
    const lanesOf = (service: typeof first): unknown[] => (service.status()["upstreams"] as { lanes: unknown[] }).lanes;
    await until("lanes are shared", () => lanesOf(first).length === 8 && lanesOf(second).length === 8);
    const onceEach = (): boolean => feeds.every((id) => h.upstream.open(`/${id}`).length === 1);
    await until("each once", onceEach);
    // A third joins and leaves: lanes move to and fro, each time one connection ends before the next begins.
    const third = await h.start("ingest-2");
    await until("lanes are shared by three", () => lanesOf(third).length >= 5 && onceEach());
    await third.stop();
    await until("by two again", () => lanesOf(first).length + lanesOf(second).length === 16 && onceEach());
    await first.stop();
    await until("the second has all", () => lanesOf(second).length === 16 && onceEach());
    expect(feeds.filter((id) => h.upstream.mostAtOnce(`/${id}`) > 1)).toEqual([]);
    // The epoch of a feed that moved is higher, so that routing knows whom to believe.
    await until("every feed says so", () => feeds.every((id) => h.state(id)?.state.status === "connected"));
    for (const id of feeds) {
      const epochs = h.lines(id).map(({ epoch }) => epoch);
      expect(epochs).toEqual(epochs.toSorted((a, b) => a - b));
    }
  });
});

describe("an instance that cannot renew its lease", () => {
  it("closes its connections before anybody else may take them, and opens them again when it is confirmed", async () => {
    const h = await harness();
    const service = await h.start("ingest-0");
    const feeds = ids(4);
    for (const id of feeds) await h.put(feedRecord(id, { url: `${h.upstream.url}/${id}` }));
    await until("all connected", () => h.upstream.open().length === feeds.length);
    const pausedAt = performance.now();
    await h.nats.pause();
    await until("all closed", () => h.upstream.open().length === 0, 8_000);
    // The lease itself ends 5 s after its last renewal.
    expect(performance.now() - pausedAt).toBeLessThan(5_000);
    expect(service.status()["upstreams"]).toMatchObject({ feeds: { connected: 0 } });
    h.nats.resume();
    await until("all connected again", () => h.upstream.open().length === feeds.length, 15_000);
    expect(feeds.filter((id) => h.upstream.mostAtOnce(`/${id}`) > 1)).toEqual([]);
    for (const id of feeds) await untilState(h, id, "connected");
  });
});

describe("kill -9 of the instance with 50 feeds", () => {
  it("has every upstream connected again exactly once within 8 s", async () => {
    const h = await harness();
    const feeds = ids(50);
    const child = await h.spawn("ingest-0");
    await Promise.all(feeds.map((id) => h.put(feedRecord(id, { url: `${h.upstream.url}/${id}` }))));
    await until("all connected", () => feeds.every((id) => h.upstream.open(`/${id}`).length === 1));
    await h.start("ingest-1");
    await until(
      "shared",
      () => h.upstream.connections().length > feeds.length && feeds.every((id) => h.upstream.open(`/${id}`).length === 1),
    );
    const killedAt = performance.now();
    child.kill("SIGKILL");
    await until("connections are lost", () => feeds.some((id) => h.upstream.open(`/${id}`).length === 0));
    await until("all connected again", () => feeds.every((id) => h.upstream.open(`/${id}`).length === 1), 12_000);
    expect(performance.now() - killedAt).toBeLessThan(8_000);
    expect(feeds.filter((id) => h.upstream.mostAtOnce(`/${id}`) > 1)).toEqual([]);
  });
});
