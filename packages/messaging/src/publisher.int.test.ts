/** Publishes and group commit on one server: acknowledgements, deduplication, fencing, full and missing streams, a silent server. */
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Nats, openNats } from "./connection.ts";
import { createGroupCommit } from "./group-commit.ts";
import { createPublisher, PublishError, type Publisher } from "./publisher.ts";
import { ensureStream, getMessage, lastMessage, streamState } from "./streams.ts";

let server: TestNats;
let nats: Nats;
let publisher: Publisher;
beforeAll(async () => {
  server = await startNats();
  nats = await openNats({ url: server.url, name: "test", log: quietLogger() });
  publisher = createPublisher(nats);
  await ensureStream(nats, { name: "P", subjects: ["p.*"], max_bytes: 1e8, duplicate_window: 60e9 });
  // "Discard new": a full stream refuses.
  await ensureStream(nats, { name: "SMALL", subjects: ["small"], max_bytes: 4_096, discard: "new" as never });
});
afterAll(async () => {
  publisher.close();
  await nats.drain();
  await server.stop();
});

it("acknowledges many publishes in flight, each with its own sequence", async () => {
  const acks = await Promise.all(Array.from({ length: 500 }, (_, i) => publisher.publish("p.many", `m${i}`)));
  const seqs = acks.map((ack) => ack.seq);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
  expect(new Set(seqs).size).toBe(500);
  expect(publisher.inFlight()).toBe(0);
  expect(new TextDecoder().decode((await getMessage(nats, "P", seqs[7] ?? 0))?.data)).toBe("m7");
});

it("stores a message id once, and says which message it was", async () => {
  const first = await publisher.publish("p.dup", "x", { msgId: "one" });
  expect(await publisher.publish("p.dup", "x", { msgId: "one" })).toEqual({ stream: "P", seq: first.seq, duplicate: true });
});

it("refuses a stale writer of a subject", async () => {
  const first = await publisher.publish("p.fence", "a", { expectLastSubjectSeq: 0 });
  await publisher.publish("p.fence", "b", { expectLastSubjectSeq: first.seq });
  await expect(publisher.publish("p.fence", "c", { expectLastSubjectSeq: first.seq })).rejects.toMatchObject({
    code: "wrong_last_sequence",
    apiCode: 10071,
    retryable: false,
  });
  // A repeat of a stored message is never stored again. Servers differ in how they say so: as a duplicate, or as stale (2.15).
  const again = await publisher.publish("p.fence2", "a", { expectLastSubjectSeq: 0, msgId: "f" });
  const repeat = publisher.publish("p.fence2", "a", { expectLastSubjectSeq: 0, msgId: "f" });
  const answer = await repeat.then(
    (ack) => (ack.duplicate ? ack.seq : "stored again"),
    (error: unknown) => (error instanceof PublishError && error.code === "wrong_last_sequence" ? again.seq : error),
  );
  expect(answer).toBe(again.seq);
  expect((await lastMessage(nats, "P", "p.fence2"))?.seq).toBe(again.seq);
  expect((await lastMessage(nats, "P", "p.fence"))?.seq).toBe(first.seq + 1);
});

it("tells a full stream, a missing stream and a wrong stream apart", async () => {
  const fill = async (): Promise<never> => {
    for (;;) await publisher.publish("small", "x".repeat(1_000));
  };
  await expect(fill()).rejects.toMatchObject({ code: "stream_full", retryable: false });
  await expect(publisher.publish("no.stream", "x")).rejects.toMatchObject({ code: "no_stream" });
  await expect(publisher.publish("p.x", "x", { expectStream: "OTHER" })).rejects.toMatchObject({ code: "other" });
});

it("a full stream is told to every waiting caller of the lane as `full`", async () => {
  const commit = createGroupCommit(nats, {
    subjectOf: () => "small",
    lanes: 1,
    maxEvents: 2,
    maxBytes: 4_096,
    deadlineMs: 2_000,
    log: quietLogger(),
  });
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => commit.append(0, "y".repeat(1_000))));
  expect(results.map((result) => result.status === "rejected" && (result.reason as { code?: string }).code)).toEqual(
    Array(10).fill("full"),
  );
  expect(commit.pendingBytes()).toBe(0);
  await commit.close();
});

it("times out when the server is silent, and the retry finds the message stored or stores it once", async () => {
  const before = await streamState(nats, "P");
  const commit = createGroupCommit(nats, {
    subjectOf: () => "p.pause",
    lanes: 1,
    maxEvents: 8,
    maxBytes: 4_096,
    deadlineMs: 8_000,
    attemptTimeoutMs: 100,
    log: quietLogger(),
  });
  await server.pause();
  const appended = commit.append(0, "once");
  await expect(publisher.publish("p.silent", "x", { timeoutMs: 50 })).rejects.toMatchObject({ code: "timeout", retryable: true });
  await until("attempts have timed out", () => commit.stats().retries > 1);
  server.resume();
  const { seq } = await appended;
  expect(commit.stats()).toMatchObject({ batches: 1, events: 1 });
  expect(commit.stats().retries).toBeGreaterThan(0);
  const after = await streamState(nats, "P");
  // One batch and one direct publish, whatever was repeated.
  expect(after.messages - before.messages).toBe(2);
  expect(new TextDecoder().decode((await getMessage(nats, "P", seq))?.data)).toBe("once");
  await commit.close();
});
