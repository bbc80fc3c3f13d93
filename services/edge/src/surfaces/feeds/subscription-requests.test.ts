/** Requests to listen against a socket, logs and subscriptions that only write down what is asked of them. */
import { PLAN_LIMITS } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import type { SocketState } from "../../domain/socket-access.ts";
import { parseSocketMessage } from "../../domain/socket-message.ts";
import type { Listened } from "./kept-session.ts";
import type { FeedFacts, StartWish } from "./socket-context.ts";
import { type Listening, type Subscribe, SubscriptionRequests } from "./subscription-requests.ts";
import type { DataStart } from "./subscriptions.ts";

const START: DataStart = { from: { next: 5, at: 0 }, notBeforeMs: undefined, hasGap: false };
const login: SocketState = {
  kind: "authenticated",
  identity: {
    authType: "jwt",
    userId: "u",
    tenantId: "t",
    credentialId: "s",
    scopes: undefined,
    limits: { ...PLAN_LIMITS.free, feedSubscriptionsPerSocket: 3 },
    expiresAtMs: Number.POSITIVE_INFINITY,
  },
};

function request(type: Subscribe["type"], payload: object): Subscribe {
  const message = parseSocketMessage(JSON.stringify({ type, payload }));
  if (message.kind !== "message") throw new Error("not valid");
  // Only types of subscriptions come in.
  return message as Subscribe;
}

function world() {
  const said: string[] = [];
  const connection = { isOpen: true, sendText: (text: string) => void said.push(text) };
  const feeds = new Map<string, FeedFacts>([
    ["plain", { tenantId: "t", isPublic: false, enableTopicRouting: false, bufferTtlMinutes: 30 }],
    ["routed", { tenantId: "other", isPublic: true, enableTopicRouting: true, bufferTtlMinutes: 30 }],
  ]);
  const held = new Map([
    ["topics", 0],
    ["analyses", 0],
  ]);
  const keys = new Map<string, DataStart | undefined>();
  const wishes: StartWish[] = [];
  const w = {
    said,
    connection,
    feeds,
    wishes,
    keys,
    held: () => [held.get("topics"), held.get("analyses")],
    state: login,
    /** What happens while a log is waited for; false = it cannot be read. */
    whileHolding: (_log: string): boolean => true,
    start: START as DataStart | null | undefined,
  };
  const add = (key: string, start?: DataStart): void => {
    said.push(`+${key}`);
    keys.set(key, start);
  };
  const remove = (prefix: string): void => {
    for (const key of keys.keys()) if (key.startsWith(prefix)) keys.delete(key);
  };
  const subscriptions: Listening = {
    get count() {
      return [...keys.keys()].filter((key) => !key.endsWith("|data")).length;
    },
    get analysesCount() {
      return [...keys.keys()].filter((key) => key.endsWith("|llm") || key.includes("|topic ")).length;
    },
    get feedIds() {
      return [...new Set([...keys.keys()].map((key) => key.split("|")[0] ?? ""))];
    },
    hasRaw: (feedId) => keys.has(`${feedId}|raw`),
    hasLlm: (feedId) => keys.has(`${feedId}|llm`),
    hasTopic: (feedId, topic) => keys.has(`${feedId}|topic ${topic}`),
    hasTopicData: (feedId, topic) => keys.has(`${feedId}|topic ${topic}|data`),
    addRaw: (feedId, start) => add(`${feedId}|raw`, start),
    addLlm: (feedId) => add(`${feedId}|llm`),
    addTopic(feedId, topic, withData, start) {
      add(`${feedId}|topic ${topic}`);
      if (withData) add(`${feedId}|topic ${topic}|data`, start);
    },
    removeFeed: (feedId) => remove(`${feedId}|`),
    removeTopic: (feedId, topic) => remove(`${feedId}|topic ${topic}`),
    useCursors: () => void said.push("cursors"),
  };
  const requests = new SubscriptionRequests(
    {
      anonymousSubscriptions: 2,
      registeredAccess: "public",
      feed: (feedId) => feeds.get(feedId),
      async hold(log) {
        await Promise.resolve();
        if (!w.whileHolding(log)) return false;
        held.set(log, (held.get(log) ?? 0) + 1);
        return true;
      },
      release: (log) => void held.set(log, (held.get(log) ?? 0) - 1),
      async planStart(_feedId, wish) {
        wishes.push(wish);
        return w.start;
      },
    },
    connection,
    subscriptions,
    () => w.state,
  );
  return Object.assign(w, { requests });
}
const success = (payload: object): string => JSON.stringify({ type: "subscription-success", payload });
const failure = (payload: object): string => JSON.stringify({ type: "subscription-error", payload });

describe("a subscription", () => {
  it("is answered before anything it causes, and reads only the logs it needs", async () => {
    const w = world();
    await w.requests.subscribe(request("subscribe-feed", { feedId: "plain" }));
    expect([w.said, w.held()]).toEqual([
      [success({ feedId: "plain", type: "feed-data" }), "+plain|raw"],
      [1, 0],
    ]);
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "BTC" }));
    expect(w.said.slice(2)).toEqual([success({ feedId: "routed", topic: "BTC", type: "topic" }), "+routed|topic BTC"]);
    expect(w.held()).toEqual([1, 1]);
    // Everything is read already: nothing to wait for.
    expect(w.requests.subscribe(request("subscribe-llm", { feedId: "plain" }))).toBeUndefined();
    expect([w.held(), w.keys.size]).toEqual([[1, 1], 3]);
  });

  it("holds each log once, and lets go when nothing needs it", async () => {
    const w = world();
    await w.requests.subscribe(request("subscribe-all", { feedId: "plain" }));
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "BTC" }));
    expect(w.held()).toEqual([1, 1]);
    w.requests.unsubscribe("plain", undefined);
    expect(w.held()).toEqual([1, 1]);
    w.requests.unsubscribe("routed", "BTC");
    expect(w.held()).toEqual([0, 0]);
    await w.requests.subscribe(request("subscribe-llm", { feedId: "plain" }));
    w.requests.close();
    expect([w.held(), w.keys.size]).toEqual([[0, 0], 0]);
  });

  it.each(["topics", "analyses"])("fails when %s cannot be read, and keeps nothing", async (away) => {
    const w = world();
    w.whileHolding = (log) => log !== away;
    await w.requests.subscribe(request("subscribe-all", { feedId: "plain" }));
    expect([w.said, w.held()]).toEqual([[failure({ error: "service unavailable", feedId: "plain" })], [0, 0]]);
  });

  it.each(["topics", "analyses"])("of a socket that closes while %s is waited for keeps nothing", async (waiting) => {
    const w = world();
    w.whileHolding = (log) => {
      if (log !== waiting) return true;
      w.connection.isOpen = false;
      w.requests.close();
      return true;
    };
    await w.requests.subscribe(request("subscribe-all", { feedId: "plain" }));
    expect([w.said, w.held(), w.keys.size]).toEqual([[], [0, 0], 0]);
  });

  it("is judged again after waiting", async () => {
    const w = world();
    w.whileHolding = () => w.feeds.delete("plain");
    await w.requests.subscribe(request("subscribe-feed", { feedId: "plain" }));
    w.whileHolding = () => {
      w.state = { kind: "registered", label: "x" };
      return true;
    };
    await w.requests.subscribe(request("subscribe-all", { feedId: "routed" }));
    expect(w.said).toEqual([
      failure({ error: "feed not found", feedId: "plain" }),
      failure({ error: "insufficient permissions", feedId: "routed" }),
    ]);
    expect([w.held(), w.keys.size]).toEqual([[0, 0], 0]);
  });

  it("counts against the account's limit, a repeated one does not", async () => {
    const w = world();
    await w.requests.subscribe(request("subscribe-all", { feedId: "plain" }));
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "A" }));
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "B" }));
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "A", include: ["data"] }));
    expect(w.said.filter((text) => text.startsWith("{")).slice(2)).toEqual([
      failure({ error: "too many subscriptions", feedId: "routed", topic: "B" }),
      success({ feedId: "routed", topic: "A", type: "topic" }),
    ]);
    const registered = world();
    registered.state = { kind: "registered", label: "x" };
    for (const topic of ["A", "B", "C"]) await registered.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic }));
    expect(registered.said.at(-1)).toBe(failure({ error: "too many subscriptions", feedId: "routed", topic: "C" }));
  });
});

describe("where data begins", () => {
  it("is planned for data that does not flow yet", async () => {
    const w = world();
    await w.requests.subscribe(request("subscribe-feed", { feedId: "plain", cursor: "c" }));
    expect(w.keys.get("plain|raw")).toEqual(START);
    // It flows already, so there is nothing to plan.
    expect(w.requests.subscribe(request("subscribe-feed", { feedId: "plain", cursor: "c" }))).toBeUndefined();
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "A", since: 5 }));
    expect(w.wishes).toEqual([{ cursor: "c", since: undefined }]);
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "A", since: 5, include: ["data"] }));
    expect(w.wishes.slice(1)).toEqual([{ cursor: undefined, since: 5 }]);
    expect(w.keys.get("routed|topic A|data")).toEqual(START);
  });

  it("is the cursor of resume unless the request has its own", async () => {
    const w = world();
    w.requests.resume("r");
    expect(w.said).toEqual(["cursors", '{"type":"resumed","payload":{}}']);
    await w.requests.subscribe(request("subscribe-feed", { feedId: "plain" }));
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "A", include: ["data"], cursor: "own" }));
    expect(w.wishes.map(({ cursor }) => cursor)).toEqual(["r", "own"]);
  });

  it("is now when the plan says so; without a plan there is no subscription", async () => {
    const w = world();
    w.start = null;
    await w.requests.subscribe(request("subscribe-feed", { feedId: "plain", since: 5 }));
    expect([w.keys.has("plain|raw"), w.keys.get("plain|raw")]).toEqual([true, undefined]);
    w.start = undefined;
    await w.requests.subscribe(request("subscribe-feed", { feedId: "routed", since: 5 }));
    expect(w.said.at(-1)).toBe(failure({ error: "service unavailable", feedId: "routed" }));
  });
});

describe("what an earlier socket of the session listened to", () => {
  const plain = { id: "plain", raw: true, llm: true, topics: [], dataTopics: [] };
  const routed = { id: "routed", raw: false, llm: false, topics: [] as string[], dataTopics: ["A"] };
  const restore = (w: ReturnType<typeof world>, feeds: Listened["feeds"], cursors = false) =>
    w.requests.restore({ cursors, feeds }, (count) => void w.said.push(`restored ${count}`));

  it("is subscribed after the number of it is told; data begins where nobody knows", async () => {
    const w = world();
    await restore(w, [plain, routed], true);
    expect(w.said).toEqual([
      "restored 3",
      "cursors",
      success({ feedId: "plain", type: "feed-data" }),
      "+plain|raw",
      success({ feedId: "plain", type: "llm-only" }),
      "+plain|llm",
      success({ feedId: "routed", topic: "A", type: "topic" }),
      "+routed|topic A",
      "+routed|topic A|data",
    ]);
    expect([w.wishes, w.held()]).toEqual([
      [{ isLost: true }, { isLost: true }],
      [1, 1],
    ]);
    expect([w.keys.get("plain|raw"), w.keys.get("routed|topic A|data")]).toEqual([START, START]);
  });

  it("begins at the cursor of resume, which is asked for once per feed", async () => {
    const w = world();
    w.requests.resume("r");
    await restore(w, [{ ...routed, topics: ["C"], dataTopics: ["A", "B"] }]);
    expect(w.wishes).toEqual([{ cursor: "r", since: undefined }]);
    expect(["A", "B"].map((topic) => w.keys.get(`routed|topic ${topic}|data`))).toEqual([START, START]);
    expect([w.keys.has("routed|topic C"), w.keys.has("routed|topic C|data")]).toEqual([true, false]);
  });

  it("is judged as of now: scope, visibility, topics, number", async () => {
    const w = world();
    w.feeds.set("private", { tenantId: "other", isPublic: false, enableTopicRouting: false, bufferTtlMinutes: 30 });
    w.whileHolding = () => {
      const { identity } = login;
      w.state = { ...login, identity: { ...identity, authType: "apikey", scopes: ["websocket:subscribe", "websocket:topic"] } };
      return true;
    };
    await restore(w, [
      { ...plain, dataTopics: ["X"] },
      { ...plain, id: "private", llm: false },
      { ...routed, dataTopics: ["A", "B", "C"] },
    ]);
    expect(w.said.filter((text) => !text.startsWith("+"))).toEqual([
      "restored 3",
      success({ feedId: "plain", type: "feed-data" }),
      failure({ error: "insufficient permissions", feedId: "plain" }),
      failure({ error: "topic routing not enabled", feedId: "plain", topic: "X" }),
      failure({ error: "feed not found", feedId: "private" }),
      success({ feedId: "routed", topic: "A", type: "topic" }),
      success({ feedId: "routed", topic: "B", type: "topic" }),
      failure({ error: "too many subscriptions", feedId: "routed", topic: "C" }),
    ]);
  });

  it("is not told where the socket has it already", async () => {
    const w = world();
    await w.requests.subscribe(request("subscribe-all", { feedId: "plain" }));
    await w.requests.subscribe(request("subscribe-topic", { feedId: "routed", topic: "A" }));
    w.said.length = 0;
    // Data of a topic is new.
    await restore(w, [plain, { ...routed, topics: ["A"], dataTopics: [] }, routed]);
    expect(w.said.filter((text) => !text.startsWith("+"))).toEqual([
      "restored 1",
      success({ feedId: "routed", topic: "A", type: "topic" }),
    ]);
  });

  it.each(["topics", "analyses"])("is refused as far as %s cannot be read, which is asked once", async (away) => {
    const w = world();
    const asked: string[] = [];
    w.whileHolding = (log) => {
      asked.push(log);
      return log !== away;
    };
    await restore(w, [plain, routed]);
    const refused = away === "topics" ? ["plain", "plain", "routed"] : ["plain", "routed"];
    expect(w.said[0]).toBe(`restored ${3 - refused.length}`);
    expect(w.said.filter((text) => text.includes("service unavailable")).length).toBe(refused.length);
    expect(asked.length).toBeLessThanOrEqual(2);
    expect(w.held()).toEqual(away === "topics" ? [0, 0] : [1, 0]);
  });

  it("is refused where nobody can tell the beginning", async () => {
    const w = world();
    w.start = undefined;
    await restore(w, [plain, routed]);
    expect(w.said.filter((text) => !text.startsWith("+"))).toEqual([
      "restored 1",
      failure({ error: "service unavailable", feedId: "plain" }),
      success({ feedId: "plain", type: "llm-only" }),
      failure({ error: "service unavailable", feedId: "routed", topic: "A" }),
    ]);
    expect(w.wishes.length).toBe(1);
  });

  it("of a socket that closes meanwhile is neither told nor kept", async () => {
    const w = world();
    w.whileHolding = () => {
      w.connection.isOpen = false;
      w.requests.close();
      return true;
    };
    await restore(w, [plain, routed]);
    expect([w.said, w.held(), w.keys.size]).toEqual([[], [0, 0], 0]);
  });
});
