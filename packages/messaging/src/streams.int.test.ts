/** Streams by their owner and by everybody else, single messages, dead letters, the lane count, the registry view. */
import { LANE_COUNT, streamSpecs, subjects } from "@headwater/protocol";
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Nats, openNats } from "./connection.ts";
import { publishDeadLetter } from "./dead-letters.ts";
import { LaneCountMismatch, readLaneCount } from "./lease-bucket.ts";
import { createPublisher } from "./publisher.ts";
import { openRegistry } from "./registry-view.ts";
import {
  bindStreams,
  ensureStream,
  ensureStreams,
  getMessage,
  lastMessage,
  purgeStream,
  StreamMismatch,
  StreamMissing,
  streamState,
} from "./streams.ts";

let server: TestNats;
let nats: Nats;
beforeAll(async () => {
  server = await startNats();
  nats = await openNats({ url: server.url, name: "test", log: quietLogger() });
});
afterAll(async () => {
  await nats.drain();
  await server.stop();
});

it("makes every stream of the product, twice over without a change, and updates what changed", async () => {
  const specs = streamSpecs("laptop");
  await ensureStreams(nats, specs, { replicas: 1 });
  await ensureStreams(nats, specs, { replicas: 1 });
  await bindStreams(
    nats,
    specs.map((spec) => spec.name),
    { withinMs: 1_000 },
  );
  const signals = specs.find((spec) => spec.name === "SIGNALS");
  if (!signals) throw new Error("no SIGNALS");
  expect(await streamState(nats, "SIGNALS")).toMatchObject({ maxBytes: signals.maxBytes, maxAgeMs: signals.maxAgeMs, messages: 0 });
  await ensureStreams(nats, [{ ...signals, maxBytes: signals.maxBytes / 2 }], { replicas: 1 });
  expect((await streamState(nats, "SIGNALS")).maxBytes).toBe(signals.maxBytes / 2);
});

it("lets a message of the registry have a life of its own, and no other stream's", async () => {
  const publisher = createPublisher(nats);
  const ttl = { headers: { "Nats-TTL": "1s" } };
  const subject = subjects.registry("session", "brief");
  await publisher.publish(subject, "{}", ttl);
  expect((await lastMessage(nats, "REGISTRY", subject))?.header("Nats-TTL")).toBe("1s");
  await until("it is gone", async () => (await lastMessage(nats, "REGISTRY", subject)) === undefined);
  await expect(publisher.publish(subjects.lane("signals", 0), "{}", ttl)).rejects.toThrow(/TTL/i);
  publisher.close();
});

it("updates a registry that was made before messages could have a life of their own", async () => {
  const registry = streamSpecs("laptop").find((spec) => spec.name === "REGISTRY");
  if (!registry) throw new Error("no REGISTRY");
  const { hasMessageTtl, ...old } = { ...registry, name: "OLD_REGISTRY", subjects: ["old.>"], maxBytes: 1_048_576 };
  expect(hasMessageTtl).toBe(true);
  await ensureStreams(nats, [old], { replicas: 1 });
  const publisher = createPublisher(nats);
  await publisher.publish("old.fact", "{}");
  await ensureStreams(nats, [{ ...old, hasMessageTtl: true }], { replicas: 1 });
  await publisher.publish("old.brief", "{}", { headers: { "Nats-TTL": "60s" } });
  expect((await streamState(nats, "OLD_REGISTRY")).messages).toBe(2);
  publisher.close();
});

it("is loud when the server kept something else than was asked", async () => {
  // The server turns 0 into "no limit" and says so in its answer.
  await expect(ensureStream(nats, { name: "ODD", subjects: ["odd"], max_msgs: 0 })).rejects.toBeInstanceOf(StreamMismatch);
});

it("waits for the owner's streams, then names those that are missing", async () => {
  await expect(bindStreams(nats, ["SIGNALS", "NOT_THERE"], { withinMs: 60 })).rejects.toThrow(/NOT_THERE/);
  await expect(streamState(nats, "NOT_THERE")).rejects.toBeInstanceOf(StreamMissing);
  const bound = bindStreams(nats, ["LATE"], { withinMs: 5_000 });
  await ensureStream(nats, { name: "LATE", subjects: ["late"], max_bytes: 1_000 });
  await bound;
});

it("reads single messages, and purges only below", async () => {
  const publisher = createPublisher(nats);
  for (let i = 1; i <= 5; i++) await publisher.publish("signals.3", `m${i}`);
  expect(await lastMessage(nats, "SIGNALS", "signals.9")).toBeUndefined();
  expect(new TextDecoder().decode((await lastMessage(nats, "SIGNALS", "signals.3"))?.data)).toBe("m5");
  expect(await purgeStream(nats, "SIGNALS", { seq: 3 })).toBe(2);
  expect(await getMessage(nats, "SIGNALS", 2)).toBeUndefined();
  expect(await streamState(nats, "SIGNALS")).toMatchObject({ firstSeq: 3, lastSeq: 5, messages: 3 });
  publisher.close();
});

it("dead letters carry reason and origin, and a repeat is stored once", async () => {
  const publisher = createPublisher(nats);
  const letter = { reason: "bad", origin: { stream: "VISITS_1", seq: 7, index: 2 }, data: "x\ud800".repeat(200_000) };
  await publishDeadLetter(publisher, "scoring", letter);
  await publishDeadLetter(publisher, "scoring", letter);
  expect(await streamState(nats, "DLQ")).toMatchObject({ messages: 1 });
  const stored = JSON.parse(new TextDecoder().decode((await lastMessage(nats, "DLQ", "dlq.scoring"))?.data)) as Record<string, unknown>;
  expect(stored).toMatchObject({ v: 1, reason: "bad", origin: letter.origin, truncated: true });
  publisher.close();
});

it("the lane count of an installation never changes silently, whoever comes first", async () => {
  const bucket = { replicas: 1, maxBytes: 1e6 };
  expect(await Promise.all([readLaneCount(nats, LANE_COUNT, bucket), readLaneCount(nats, LANE_COUNT, bucket)])).toEqual([16, 16]);
  await expect(readLaneCount(nats, 32, bucket)).rejects.toBeInstanceOf(LaneCountMismatch);
});

it("the registry view knows every version at its position, and follows live", async () => {
  const publisher = createPublisher(nats);
  const put = async (id: string, data: unknown): Promise<number> =>
    (
      await publisher.publish(
        `registry.tenant.${id}`,
        JSON.stringify({ v: 1, type: "tenant.updated", aggregate: "tenant", id, at: "2026-01-01T00:00:00Z", data }),
      )
    ).seq;
  const first = await put("t1", { plan: "free" });
  await publisher.publish("registry.tenant.t9", "garbage");
  const view = await openRegistry(nats, { log: quietLogger() });
  expect(view.position()).toBe(first + 1);
  expect(view.get("tenant", "t1")?.data).toEqual({ plan: "free" });
  const changes: [string, number][] = [];
  const stop = view.onChange((record, seq) => changes.push([record.id, seq]));
  const second = await put("t1", { plan: "scale" });
  const third = await put("t1", null);
  await view.waitFor(third);
  expect(changes).toEqual([
    ["t1", second],
    ["t1", third],
  ]);
  expect(view.get("tenant", "t1")).toBeUndefined();
  expect(view.getAt("tenant", "t1", second)?.data).toEqual({ plan: "scale" });
  expect(view.getAt("tenant", "t1", first)?.data).toEqual({ plan: "free" });
  expect(view.getAt("tenant", "t1", first - 1)).toBeUndefined();
  expect(view.list("tenant")).toEqual([]);
  await expect(view.waitFor(third + 1, 30)).rejects.toThrow(/did not arrive/);
  stop();
  await view.stop();
  publisher.close();
});
