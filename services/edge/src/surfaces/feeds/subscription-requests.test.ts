/** Requests to listen against a socket, logs and subscriptions that only write down what is asked of them. */
import { PLAN_LIMITS } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import type { SocketState } from "../../domain/socket-access.ts";
import { parseSocketMessage } from "../../domain/socket-message.ts";
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
