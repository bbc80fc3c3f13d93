/** Random conversations on `/ws` against a model of the contract, and the proof that a foreign feed looks like one that never was. */
import { type SocketMessageType, socketPayloads } from "@headwater/protocol";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { openSocket, type SocketClient } from "./testing/socket-client.ts";

const OWN = "65f456abc1230a1b2c3d4e01";
const OWN_TOPICS = "65f456abc1230a1b2c3d4e02";
const PUBLIC = "65f456abc1230a1b2c3d4e03";
const FOREIGN = "65f456abc1230a1b2c3d4e04";
const FOREIGN_TOPICS = "65f456abc1230a1b2c3d4e05";
const UNKNOWN = "65f456abc1230a1b2c3d4e06";

let fixture: EdgeFixture;
let edge: RunningEdge;

beforeAll(async () => {
  fixture = await startEdgeFixture();
  edge = await fixture.startEdge({ config: { WS_MAX_MESSAGES_PER_SECOND: 10_000, WS_MESSAGE_BURST: 10_000 } });
  fixture.addSession("jwt", "acme");
  fixture.addSession("other", "other");
  fixture.addKey("key", "acme", "free", { scopes: ["websocket:subscribe"], userId: "user_acme" });
  fixture.addKey("all", "acme", "free", { scopes: ["websocket:*"], userId: "user_acme" });
  await fixture.addFeed(OWN, "acme");
  await fixture.addFeed(OWN_TOPICS, "acme", { enableTopicRouting: true, topicField: "s" });
  await fixture.addFeed(PUBLIC, "other", { isPublic: true });
  await fixture.addFeed(FOREIGN, "other");
  await fixture.addFeed(FOREIGN_TOPICS, "other", { enableTopicRouting: true, topicField: "s" });
});
afterAll(() => fixture.stop());

type Who = "anonymous" | "registered" | "jwt" | "key";

/** The contract in a few lines: what a socket may listen to. */
class Model {
  who: Who = "anonymous";
  readonly raw = new Set<string>();
  readonly topics = new Set<string>();

  sees(feedId: string): boolean {
    return feedId === PUBLIC || ((this.who === "jwt" || this.who === "key") && (feedId === OWN || feedId === OWN_TOPICS));
  }
  mayRaw(): boolean {
    return this.who !== "anonymous";
  }
  mayTopic(): boolean {
    return this.who === "registered" || this.who === "jwt";
  }
}

type Step =
  | { kind: "auth"; as: "jwt" | "key" | "bad" }
  | { kind: "register" }
  | { kind: "subscribe" | "unsubscribe"; feedId: string }
  | { kind: "topic" | "untopic"; feedId: string; topic: string }
  | { kind: "noise"; text: string };

const feedIds = fc.constantFrom(OWN, OWN_TOPICS, PUBLIC, FOREIGN, FOREIGN_TOPICS, UNKNOWN);
const topics = fc.constantFrom("a", "b");
const noise = fc.oneof(
  fc.string(),
  fc.json(),
  fc
    .record({
      type: fc.constantFrom(
        ...Object.keys(socketPayloads).filter((type) => !/^(un)?subscribe|authenticate|register|ping|resume/.test(type)),
      ),
      payload: fc.jsonValue(),
    })
    .map((message) => JSON.stringify(message)),
);
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("auth" as const), as: fc.constantFrom("jwt" as const, "key" as const, "bad" as const) }),
  fc.record({ kind: fc.constant("register" as const) }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("subscribe" as const, "unsubscribe" as const), feedId: feedIds }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("topic" as const, "untopic" as const), feedId: feedIds, topic: topics }) },
  fc.record({ kind: fc.constant("noise" as const), text: noise }),
);

function apply(model: Model, step: Step): unknown {
  const payload =
    "feedId" in step
      ? { feedId: step.feedId, userId: "user_other", topic: "topic" in step ? step.topic : undefined, include: ["data"] }
      : {};
  switch (step.kind) {
    case "auth":
      if (step.as !== "bad") {
        model.who = step.as;
        for (const feedId of model.raw) if (!model.sees(feedId)) model.raw.delete(feedId);
        if (!model.mayTopic()) model.topics.clear();
      }
      return { type: "authenticate", payload: step.as === "jwt" ? { token: "jwt" } : { apiKey: step.as } };
    case "register":
      if (model.who === "anonymous") model.who = "registered";
      return { type: "register-user", payload: { userId: "user_other" } };
    case "subscribe":
      if (model.mayRaw() && model.sees(step.feedId)) model.raw.add(step.feedId);
      return { type: "subscribe-feed", payload };
    case "unsubscribe":
      model.raw.delete(step.feedId);
      for (const topic of ["a", "b"]) model.topics.delete(`${step.feedId} ${topic}`);
      return { type: "unsubscribe-feed", payload };
    case "topic":
      if (model.mayTopic() && step.feedId === OWN_TOPICS && model.sees(step.feedId)) model.topics.add(`${step.feedId} ${step.topic}`);
      return { type: "subscribe-topic", payload };
    case "untopic":
      model.topics.delete(`${step.feedId} ${step.topic}`);
      return { type: "unsubscribe-topic", payload };
    case "noise":
      return step.text;
  }
}

it("a socket gets exactly what the contract lets it listen to, whatever was said before", async () => {
  const witness = await openSocket(edge.url);
  await witness.ask(
    { type: "authenticate", payload: { token: "other" } },
    ...[PUBLIC, FOREIGN].map((feedId) => ({ type: "subscribe-feed", payload: { feedId } })),
  );
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 25 }), async (sequence) => {
      const model = new Model();
      const socket = await openSocket(edge.url);
      let failures = 0;
      for (const step of sequence) {
        // More would close the socket, which has its own test.
        if (step.kind === "auth" && step.as === "bad" && ++failures >= 9) continue;
        const text = apply(model, step);
        // Not every random text is harmless to the model: only those that cannot be a command of it.
        if (step.kind !== "noise" || !/"type":"(un)?(subscribe|authenticate|register|ping)/.test(step.text)) socket.send(text);
      }
      await socket.ask();
      const mark = `"m${round++}"`;
      await fixture.publishTopics([
        ...[OWN, OWN_TOPICS, PUBLIC, FOREIGN].map((feedId) => ({ feedId, data: mark })),
        ...[OWN_TOPICS, FOREIGN_TOPICS].flatMap((feedId) => ["a", "b"].map((topic) => ({ feedId, topic, data: mark }))),
      ]);
      await witness.when("the witness has it", () => witness.frames.at(-1)?.payload?.["data"] === JSON.parse(mark));
      await socket.ask();
      const got = socket.frames.filter((frame) => frame.payload?.["data"] === JSON.parse(mark));
      expect(
        got
          .filter((frame) => frame.type === "feed-data")
          .map((frame) => frame.payload["feedId"])
          .toSorted(),
      ).toEqual([...model.raw].toSorted());
      expect(
        got
          .filter((frame) => frame.type === "topic-data")
          .map((frame) => `${String(frame.payload["feedId"])} ${String(frame.payload["topic"])}`)
          .toSorted(),
      ).toEqual([...model.topics].toSorted());
      await socket.close();
    }),
    { numRuns: 60 },
  );
  await witness.close();
}, 60_000);

it("isolation: for every message type a foreign id and one that never was get the same bytes", async () => {
  const types = Object.keys(socketPayloads) as SocketMessageType[];
  const clients: SocketClient[] = [];
  for (const credential of [undefined, { token: "jwt" }, { apiKey: "key" }, { apiKey: "all" }]) {
    const socket = await openSocket(edge.url);
    clients.push(socket);
    await socket.ask(credential ? { type: "authenticate", payload: credential } : { type: "register-user", payload: { userId: "x" } });
  }
  const members = fc.record(
    {
      topic: fc.oneof(fc.string({ maxLength: 5 }), fc.integer()),
      question: fc.string(),
      customPrompt: fc.string(),
      enabled: fc.boolean(),
      include: fc.constant(["data"]),
      cursor: fc.string({ maxLength: 60 }),
      since: fc.integer({ min: 0 }),
      requestId: fc.string({ maxLength: 10 }),
      provider: fc.string({ maxLength: 10 }),
    },
    { requiredKeys: [] },
  );
  const randomId = fc.array(fc.constantFrom(..."0123456789abcdef"), { minLength: 24, maxLength: 24 }).map((chars) => chars.join(""));
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...types),
      members,
      randomId,
      fc.constantFrom(FOREIGN, FOREIGN_TOPICS),
      async (type, rest, random, foreign) => {
        if (type === "authenticate" || type === "register-user") return;
        for (const socket of clients) {
          const answer = async (feedId: string) =>
            (await socket.ask({ type, payload: { ...rest, feedId } })).map((text) => text.replaceAll(feedId, "<id>"));
          expect(await answer(foreign)).toEqual(await answer(random));
        }
      },
    ),
    { numRuns: 150 },
  );
  await fixture.publishTopics([
    { feedId: FOREIGN, data: '"secret"' },
    { feedId: FOREIGN_TOPICS, topic: "a", data: '"secret"' },
    { feedId: FOREIGN, status: "connected" },
  ]);
  await edge.service.settled?.();
  for (const socket of clients) {
    await socket.ask();
    expect(socket.texts.join()).not.toContain("secret");
    expect(socket.of("feed-status")).toEqual([]);
    await socket.close();
  }
}, 60_000);
