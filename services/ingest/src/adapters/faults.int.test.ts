import { connect } from "node:net";
import { inputStreamName, LANE_COUNT, laneOf, natsPermissions, VisitInput, visitorKey } from "@headwater/protocol";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { startNats, until } from "@headwater/testkit";
import { type Harness, startHarness } from "../testing/harness.ts";
import { pageview } from "../testing/samples.ts";

const event = (overrides: Record<string, unknown> = {}) => pageview({ timestamp: Date.now(), ...overrides });
const unlimited = {
  take: () => ({ ok: true, limit: 1, remaining: 1, resetAtS: 0, retryAfterS: 0 }),
};

describe("faults", () => {
  let h: Harness;
  afterEach(() => h.stop());

  it("answers 503 at once while the broker is away", async () => {
    h = await startHarness();
    await h.nats.stop();
    await until("the loss is noticed", () => h.service.health().status === "down");
    const answer = await h.send({ body: { events: [event()] } });
    expect([answer.status, answer.body["error"], answer.headers["retry-after"]]).toStrictEqual([503, "overloaded", "1"]);
    expect((await h.send({ path: "/v1/optout", body: { visitorId: "v" } })).status).toBe(503);
  });

  it("loses nothing that was acknowledged when the broker is killed under load", async () => {
    h = await startHarness({ limiter: unlimited });
    const acked: string[] = [];
    const unknown: string[] = [];
    const statuses = new Set<number>();
    let isOver = false;
    const sender = async (name: string): Promise<void> => {
      for (let i = 0; !isOver; i++) {
        const eid = `${name}-${i}`;
        const { status } = await h.send({ body: { events: [event({ visitorId: `vis_${name}`, _eid: eid })] } });
        statuses.add(status);
        (status === 202 ? acked : unknown).push(eid);
      }
    };
    const senders = Promise.all(Array.from({ length: 8 }, (_, i) => sender(`s${i}`)));
    await until("some events are acknowledged", () => acked.length > 100);
    h.nats.kill();
    await until("the loss is noticed", () => h.service.health().status === "down");
    const before = acked.length;
    await until("intake goes on", () => acked.length > before + 100);
    isOver = true;
    await senders;
    expect(h.service.health().status).toBe("up");
    expect([...statuses].filter((status) => status !== 202 && status !== 503)).toStrictEqual([]);
    const stored = (await h.stored()).map((input) => (input.kind === "visit" ? (input.eid ?? "") : ""));
    const seen = new Set(stored);
    expect(acked.filter((eid) => !seen.has(eid))).toStrictEqual([]);
    expect(stored.filter((eid, i) => stored.indexOf(eid) !== i)).toStrictEqual([]);
    expect(stored.filter((eid) => !acked.includes(eid) && !unknown.includes(eid))).toStrictEqual([]);
  });

  it("answers 503 in time when the broker hangs, and recovers", async () => {
    h = await startHarness({ config: { appendDeadlineMs: 300 } });
    await h.nats.pause();
    const answer = await h.send({ body: { events: [event({ visitorId: "vis_hang" })] } });
    h.nats.resume();
    expect([answer.status, answer.body["error"], answer.headers["retry-after"]]).toStrictEqual([503, "overloaded", "1"]);
    await until("intake goes on", async () => (await h.send({ body: { events: [event()] } })).status === 202);
  });

  it("answers 429 when its own queue is full, 503 when the stream is", async () => {
    h = await startHarness({ config: { laneQueueBytes: 2_000, appendDeadlineMs: 500 } });
    const filler = "word ".repeat(90);
    const answer = await h.send({
      body: { events: Array.from({ length: 10 }, () => event({ type: "custom", name: "x", label: filler })) },
    });
    expect([answer.status, answer.body["error"], answer.headers["retry-after"]]).toStrictEqual([429, "rate_limit_exceeded", "1"]);
    expect(await h.stored()).toStrictEqual([]);
    const visitorId = "vis_full";
    const stream = inputStreamName("visits", laneOf(visitorKey("ten_1", visitorId)));
    await h.link.core.request(`$JS.API.STREAM.UPDATE.${stream}`, await withMaxBytes(h, stream, 10));
    const full = await h.send({ body: { events: [event({ visitorId })] } });
    expect([full.status, full.body["error"]]).toStrictEqual([503, "overloaded"]);
    expect(await h.stored()).toStrictEqual([]);
  });

  it("finishes what it began when it stops, then says draining", async () => {
    h = await startHarness({ limiter: unlimited });
    // A broker that is silent for a moment keeps them from being answered before the stop.
    await h.nats.pause();
    const running = Array.from({ length: 20 }, (_, i) => h.send({ body: { events: [event({ visitorId: `vis_${i}` })] } }));
    await until("requests are being answered", () => Number(h.service.status()["inFlightRequests"]) > 0);
    const stopping = h.service.stop();
    h.nats.resume();
    const answers = await Promise.all(running);
    await stopping;
    expect(answers.every((answer) => answer.status === 202 || answer.body["error"] === "draining")).toBe(true);
    expect((await h.stored()).length).toBe(answers.filter((answer) => answer.status === 202).length);
    const late = await h.send({ body: { events: [event()] } });
    expect([late.status, late.body["error"], late.headers["retry-after"]]).toStrictEqual([503, "draining", "1"]);
  });

  it("stores the lanes of a batch where its visitors belong", async () => {
    h = await startHarness();
    const visitors = Array.from({ length: 60 }, (_, i) => `vis_${i}`);
    await h.send({ body: { events: visitors.map((visitorId) => event({ visitorId })) } });
    await h.service.settled({ withinMs: 1_000 });
    const lanes = (await h.stored()).map((input) => laneOf(visitorKey(input.tenantId, input.visitorId), LANE_COUNT));
    expect(lanes).toStrictEqual([...lanes].sort((a, b) => a - b));
    expect(lanes.length).toBe(60);
  });

  it("answers 503 when too many bodies are in memory, and forgets a sender that went away", async () => {
    h = await startHarness({ config: { bodyBytes: 1_000 } });
    const { port } = new URL(h.url);
    const slow = connect(Number(port), "127.0.0.1");
    slow.write(
      `POST /v1/events HTTP/1.1\r\nHost: x\r\nX-API-Key: browser\r\nContent-Type: text/plain\r\nContent-Length: 900\r\n\r\n${"x".repeat(800)}`,
    );
    const post = () => h.send({ body: { events: [event()] } });
    await until("the memory is used up", async () => (await post()).status === 503);
    slow.destroy();
    await until("the memory is free again", async () => (await post()).status === 202);
    await h.service.settled({ withinMs: 1_000 });
  });

  it("runs with the permissions of its own NATS user", async () => {
    const users = { ingest: { user: "ingest", password: "one" }, test: { user: "test", password: "two" } };
    const nats = await startNats({ users: [{ ...users.ingest, permissions: natsPermissions("ingest") }, users.test] });
    h = await startHarness({ nats, users });
    h.answerErasures();
    expect((await h.send({ body: { events: [event()] } })).status).toBe(202);
    expect((await h.send({ path: "/v1/optout", body: { visitorId: "v" } })).status).toBe(202);
    const transition = { type: "_consent_transition", visitorId: "v", timestamp: 1, newConsent: { analytics: false } };
    expect((await h.send({ body: { events: [transition] } })).status).toBe(202);
    await h.service.stop();
    await nats.stop();
  });

  it("never answers 5xx and never stores nonsense, whatever the body (fuzz)", async () => {
    h = await startHarness({ limiter: unlimited });
    const mutated = fc
      .record({
        base: fc.constantFrom("pageview", "click", "scroll", "form", "custom", "identify", "_consent_transition"),
        junk: fc.jsonValue({ maxDepth: 4 }),
      })
      .chain(({ base, junk }) =>
        fc
          .constantFrom(
            "page",
            "device",
            "identity",
            "consent",
            "_eid",
            "timestamp",
            "sessionId",
            "properties",
            "element",
            "name",
            "newConsent",
            "extra",
          )
          .map((field) => ({
            ...event({ type: base, visitorId: "vis_fuzz", name: "x", depth: 5, action: "submit", newConsent: {} }),
            [field]: junk,
          })),
      );
    const events = fc.array(fc.oneof(mutated, fc.jsonValue(), fc.constant(event({ visitorId: "vis_fuzz" }))), { maxLength: 5 });
    const bodies = fc.oneof(
      fc.record({ events, sentAt: fc.oneof(fc.constant(Date.now()), fc.jsonValue()) }).map((body) => JSON.stringify(body)),
      fc.json(),
      fc.string({ unit: "binary" }),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    );
    let accepted = 0;
    // Several under way at once: most of the time of each is the wait for the disk.
    const several = fc.array(bodies, { minLength: 8, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(several, async (list) => {
        for (const answer of await Promise.all(list.map((body) => h.send({ body })))) {
          expect([202, 400, 413, 422]).toContain(answer.status);
          if (answer.status === 202) accepted += Number(answer.body["accepted"]);
        }
      }),
      { numRuns: 50 },
    );
    expect(accepted).toBeGreaterThan(20);
    for (const input of await h.stored()) expect(VisitInput.safeParse(input).error?.issues).toBeUndefined();
    expect((await h.send({ body: { events: [event()] } })).status).toBe(202);
  });
});

/** The stream's own configuration with another limit, as the server wants it back. */
async function withMaxBytes(h: Harness, stream: string, maxBytes: number): Promise<string> {
  const info = await h.link.core.request(`$JS.API.STREAM.INFO.${stream}`, "");
  const { config } = JSON.parse(new TextDecoder().decode(info.data)) as { config: Record<string, unknown> };
  return JSON.stringify({ ...config, max_bytes: maxBytes });
}
