/** Automatic analyses of the whole service: real NATS and PostgreSQL, a local provider, an edge that says who listens. */
import path from "node:path";
import { openPool } from "@headwater/postgres";
import { feedKeys, laneOf } from "@headwater/protocol";
import { quietLogger, until } from "@headwater/testkit";
import { describe, expect, inject, it } from "vitest";
import { IntelligenceFixture } from "../testing/intelligence-fixture.ts";
import { feedRecord } from "../testing/feed-record.ts";
import { type Listeners, openListeners } from "../testing/listeners.ts";

const FEED = "65f789abc1230a1b2c3d4e5f";
const TOPIC = "BTC-USD";
const KEY = feedKeys.topic(FEED, TOPIC);

type Found = Awaited<ReturnType<IntelligenceFixture["analyses"]>>;
interface World {
  system: IntelligenceFixture;
  edge: Listeners;
  analysed(count: number, withinMs?: number): Promise<Found>;
  put(price: number, topic?: string): Promise<number>;
  /** The user message of a call to the provider. */
  promptOf(at: number): string;
}

/** A test with a broker, a database, a provider and an edge of its own: most of its time it waits for ticks, so others run meanwhile. */
function alone(body: (world: World) => Promise<void>): () => Promise<void> {
  return async () => {
    const system = await IntelligenceFixture.open(inject("databaseUrl"));
    const edge = openListeners(system.nats, "edge-0");
    try {
      await body({
        system,
        edge,
        async analysed(count, withinMs = 20_000) {
          let found: Found = [];
          await until(
            `${count} analyses`,
            async () => {
              found = await system.analyses();
              return found.length >= count;
            },
            withinMs,
          );
          return found;
        },
        put: (price, topic = TOPIC) => system.put({ feedId: FEED, topic, json: `{"price":${price}}` }),
        promptOf: (at) => JSON.stringify(system.provider.calls()[at]?.body["messages"]),
      });
    } finally {
      edge.stop();
      await system.close();
    }
  };
}

// Not beside the others: it measures time.
it(
  "a topic is answered within two seconds and one call from its first listener; the owner pays once",
  alone(async ({ system, edge, put, analysed, promptOf }) => {
    const instance = await system.start();
    await system.feed(feedRecord(FEED, { queryInterval: 5, topicPrompts: { [TOPIC]: { question: "Is it up?" } } }));
    const seq = await put(1);
    const begun = performance.now();
    edge.listen(KEY);
    const [first] = await analysed(1);
    expect(performance.now() - begun).toBeLessThan(2_000 + 500);
    expect(first).toEqual({
      key: KEY,
      wire: {
        type: "llm-intelligence",
        payload: { feedId: FEED, topic: TOPIC, analysis: "Prices are rising.", provider: "openai", timestamp: expect.any(String) },
      },
      ext: {
        k: 0,
        ts: Date.parse(String((first?.wire["payload"] as { timestamp: string } | undefined)?.timestamp)),
        run: expect.stringMatching(/^[\w-]{32}$/),
        model: "gpt-4o",
        promptVersion: 1,
        tokens: 150,
        window: [seq, seq],
      },
    });
    expect(promptOf(0)).toContain("Is it up?");
    expect(promptOf(0)).not.toContain("Previous analyses");
    await until("billed", () => system.additions.length === 1);
    expect(system.additions).toEqual([{ tenantId: "alice", id: first?.ext["run"], tokens: 150 }]);
    // Second tick: newest window, and what was answered before.
    await put(2);
    const newest = await put(3);
    const [, second] = await analysed(2);
    expect(second?.ext["window"]).toEqual([seq, newest]);
    expect(promptOf(1)).toContain("Previous analyses");
    expect(system.provider.calls()).toHaveLength(2);
    // Nothing new: nothing is asked. Nobody listens: neither.
    edge.listen();
    await put(4);
    await until("the loop ended", () => (instance.service.status()["auto"] as { loops: number }).loops === 0);
  }),
);

describe.concurrent("a topic", () => {
  it(
    "is analysed once per tick by two instances, and goes on when one of them stops",
    alone(async ({ system, edge, analysed }) => {
      const topics = Array.from({ length: 12 }, (_, i) => `T${i}`);
      const ids = Array.from({ length: 4 }, (_, i) => `65f789abc1230a1b2c3d4e0${i}`);
      const first = await system.start({}, "intelligence-0");
      await system.start({}, "intelligence-1");
      for (const id of ids) await system.feed(feedRecord(id, { queryInterval: 5 }));
      const putAll = async (price: number): Promise<void> => {
        for (const feedId of ids) await system.put(...topics.map((topic) => ({ feedId, topic, json: `{"price":${price}}` })));
      };
      await putAll(1);
      edge.listen(...ids.flatMap((id) => topics.map((topic) => feedKeys.topic(id, topic))));
      await analysed(48);
      await putAll(2);
      await analysed(96);
      await first.stop();
      await putAll(3);
      const all = await analysed(144, 25_000);
      const keys = new Map<string, string[]>();
      for (const { key, wire } of all) keys.set(key, [...(keys.get(key) ?? []), (wire["payload"] as { timestamp: string }).timestamp]);
      expect([...keys.values()].map((times) => times.length)).toEqual(Array.from({ length: 48 }, () => 3));
      for (const times of keys.values()) expect(times).toEqual([...times].sort());
      expect(new Set(system.additions.map(({ id }) => id)).size).toBe(144);
      expect(system.additions).toHaveLength(144);
    }),
    60_000,
  );

  it(
    "whose provider hangs, refuses or talks nonsense is backed off and told; then it goes on",
    alone(async ({ system, edge, put, analysed }) => {
      await system.start({ LLM_TIMEOUT_MS: "1000" });
      await system.feed(feedRecord(FEED, { queryInterval: 5 }));
      system.provider.behave({ kind: "hang" }, { kind: "status", status: 400 }, { kind: "garbage" });
      await put(1);
      edge.listen(KEY);
      const [error] = await analysed(1, 25_000);
      expect(error?.key).toBe(KEY);
      expect(error?.wire).toEqual({
        type: "llm-error",
        payload: { error: expect.stringMatching(/^openai error: /), feedId: FEED, topic: TOPIC },
      });
      expect(system.provider.calls()).toHaveLength(3);
      system.provider.behave({ kind: "answer" });
      const [, answer] = await analysed(2, 25_000);
      expect(answer?.wire["type"]).toBe("llm-intelligence");
    }),
    60_000,
  );

  it(
    "is not analysed when the quota is used up; its listeners are told once (W19)",
    alone(async ({ system, edge, put, analysed }) => {
      const instance = await system.start();
      Object.assign(system.usageOf("alice"), { tokensUsed: 10, limit: 10, overdraftAllowed: false });
      await system.feed(feedRecord(FEED, { queryInterval: 5 }));
      await put(1);
      edge.listen(KEY);
      const [notice] = await analysed(1);
      expect(notice?.wire).toEqual({ type: "llm-error", payload: { error: "token quota exceeded", feedId: FEED, topic: TOPIC } });
      // A listener more, a message more, a feed that pays: only the last is answered.
      await put(2);
      const other = "65f789abc1230a1b2c3d4e60";
      await system.feed(feedRecord(other, { tenantId: "bob" }));
      await system.put({ feedId: other, topic: TOPIC, json: "{}" });
      edge.listen(KEY, feedKeys.topic(other, TOPIC));
      const all = await analysed(2);
      expect(all.map(({ key, wire }) => [key, wire["type"]])).toEqual([
        [KEY, "llm-error"],
        [feedKeys.topic(other, TOPIC), "llm-intelligence"],
      ]);
      expect(system.provider.calls()).toHaveLength(1);
      // Who listens after everybody left was told nothing yet.
      edge.listen();
      await until("no loop is left", () => (instance.service.status()["auto"] as { loops: number }).loops === 0);
      edge.listen(KEY);
      expect((await analysed(3))[2]?.wire["payload"]).toMatchObject({ error: "token quota exceeded" });
      expect(system.additions.map(({ tenantId }) => tenantId)).toEqual(["bob"]);
    }),
  );

  it(
    "of the builtin analyst costs nothing",
    alone(async ({ system, edge, put, analysed }) => {
      await system.start({ OPENAI_API_KEY: "" });
      await system.feed(feedRecord(FEED));
      await put(1);
      edge.listen(KEY);
      const [answer] = await analysed(1);
      expect(answer?.wire["payload"]).toMatchObject({ provider: "builtin", analysis: expect.stringContaining("Builtin analysis") });
      expect(system.additions).toEqual([]);
    }),
  );
});

it.concurrent(
  "a plain feed is analysed for those who listen to its intelligence",
  alone(async ({ system, edge, analysed }) => {
    await system.start();
    await system.feed(feedRecord(FEED, { enableTopicRouting: false, autoAnalysis: true }));
    await system.put({ feedId: FEED, json: `{"price":1}` });
    edge.listen(feedKeys.llm(FEED));
    const [answer] = await analysed(1);
    expect(answer).toMatchObject({
      key: feedKeys.llm(FEED),
      wire: { type: "llm-broadcast", payload: { feedId: FEED, answer: "Prices are rising.", provider: "openai" } },
    });
  }),
);

describe.concurrent("a crash", () => {
  /** Intelligence as a process of its own, so that it can be killed. */
  async function spawned(system: IntelligenceFixture): Promise<{ kill(): Promise<void> }> {
    const { spawn } = await import("node:child_process");
    const secret = "x".repeat(32);
    const child = spawn(process.execPath, [path.resolve(import.meta.dirname, "../main.ts")], {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: {
        NATS_URL: system.broker.url,
        NATS_USER: "",
        DATABASE_URL: system.databaseUrl,
        HEADWATER_INSTANCE: "intelligence-0",
        HEADWATER_PROFILE: "laptop",
        HTTP_PORT: "0",
        ADMIN_PORT: "0",
        LOG_LEVEL: "error",
        KEY_PEPPER: secret,
        CURSOR_KEY: secret,
        PRIVACY_KEY: secret,
        HEADWATER_ADMIN_TOKEN: secret,
        JWT_SECRET: secret,
        ENCRYPTION_KEY: secret,
        NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
        OPENAI_API_KEY: "k",
        OPENAI_BASE_URL: `${system.provider.url}/v1`,
        OLLAMA_DISCOVERY_URL: "off",
      },
    });
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code) => reject(new Error(`intelligence ended with ${code}`)));
    });
    return {
      kill: async () => {
        child.kill("SIGKILL");
        await gone;
      },
    };
  }

  it(
    "in the middle of a run: that tick is lost, nobody pays for it twice, the next one goes on",
    alone(async ({ system, edge, put, analysed }) => {
      const pool = await openPool({ url: system.databaseUrl, max: 2, applicationName: "test", log: quietLogger() });
      const rows = async (): Promise<{ id: string; outcome: string | null; tokens: number }[]> =>
        (
          await pool.query<{ id: string; outcome: string | null; tokens: number }>(
            "SELECT id, outcome, tokens FROM intelligence.runs ORDER BY reserved_at",
          )
        ).rows;
      await system.feed(feedRecord(FEED, { queryInterval: 5 }));
      await put(1);
      system.provider.behave({ kind: "hang" });
      const victim = await spawned(system);
      try {
        edge.listen(KEY);
        await until("the provider is asked", () => system.provider.calls().length === 1, 20_000);
        expect(await rows()).toMatchObject([{ outcome: null }]);
      } finally {
        await victim.kill();
      }
      system.provider.behave({ kind: "answer" });
      await system.start();
      await put(2);
      const [answer] = await analysed(1, 25_000);
      await until("billed", () => system.additions.length === 1);
      const [lost, next] = await rows();
      expect(lost).toMatchObject({ outcome: "lost", tokens: 0 });
      expect(next).toMatchObject({ outcome: "answered", tokens: 150, id: answer?.ext["run"] });
      expect(next?.id).not.toBe(lost?.id);
      expect(system.additions).toEqual([{ tenantId: "alice", id: next?.id, tokens: 150 }]);
      await pool.end();
    }),
    60_000,
  );

  it(
    "between settlement and bill loses no bill: it is sent later, once",
    alone(async ({ system }) => {
      await system.start();
      const pool = await openPool({ url: system.databaseUrl, max: 1, applicationName: "test", log: quietLogger() });
      await pool.query(
        `INSERT INTO intelligence.runs (id, lane, epoch, feed_id, tenant_id, tick, provider, model, reserved_at, settled_at, outcome, tokens)
       VALUES ('owed', $1, 1, $2, 'alice', '5:1', 'openai', 'm', now() - interval '2 minutes', now() - interval '1 minute', 'answered', 150)`,
        [laneOf(FEED), FEED],
      );
      await until("the bill is sent", () => system.additions.some(({ id }) => id === "owed"), 25_000);
      await until("it is known to be", async () => {
        const { rowCount } = await pool.query("SELECT 1 FROM intelligence.runs WHERE id = 'owed' AND billed_at IS NOT NULL");
        return rowCount === 1;
      });
      expect(system.additions).toEqual([{ tenantId: "alice", id: "owed", tokens: 150 }]);
      await pool.end();
    }),
    60_000,
  );
});
