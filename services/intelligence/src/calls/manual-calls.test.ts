/** What is hard to bring about with the whole service; the rest is in ../http/llm-routes.int.test.ts. */
import { quietLogger } from "@headwater/testkit";
import { systemClock } from "@headwater/runtime";
import { expect, it } from "vitest";
import { FairSlots } from "../domain/fair-slots.ts";
import { type Completion, countedUsage, type Provider, ProviderError } from "../domain/provider.ts";
import { feedRecord } from "../testing/feed-record.ts";
import { ManualCalls, type ManualDeps } from "./manual-calls.ts";

const never = new Promise<never>(() => undefined);
const QUESTION = { callId: "c1", caller: { tenantId: "bob", userId: "u" }, feedId: "f", question: "what?", broadcast: true };
const GOOD: Completion = { text: "up", usage: countedUsage(10, 2), model: "m" };

function world(complete: Provider["complete"], change: Partial<ManualDeps> = {}) {
  const added: [string, string, number][] = [];
  let open = 0;
  const slots = new FairSlots({ size: 1, perTenant: 1 });
  const deps: ManualDeps = {
    feeds: { get: () => feedRecord("f"), all: () => [], onChange: () => () => undefined },
    providers: {
      ids: ["p"],
      select: () => ({ ok: true, id: "p" }),
      get: () => ({ id: "p", model: "m", complete }),
      isBilled: () => true,
    },
    contexts: {
      read: async () => ({ window: { entries: [{ ts: 1, seq: 1, json: "{}" }], oldestSeq: 1, newestSeq: 1 }, memory: [] }),
      remember: async () => undefined,
      clear: async () => undefined,
      broadcast: async () => undefined,
    },
    usage: {
      check: async () => ({ ok: false, reason: "unavailable" }),
      reserve: async () => {
        open++;
        return { ok: true, tokenUsage: undefined, settle: () => void open-- };
      },
      add: async (...addition) => {
        added.push(addition);
        return undefined;
      },
      waiting: () => 0,
      stop: async () => undefined,
    },
    slots,
    limiter: { take: async () => ({ ok: true }), hold: async () => ({ ok: true, release: () => undefined }), stop: () => undefined },
    settings: { maxTokens: 10, temperature: 0, tenantConcurrency: 1, perMinute: 1, burst: 1 },
    clock: systemClock,
    log: quietLogger(),
    observe: () => undefined,
    ...change,
  };
  return { manual: new ManualCalls(deps), added, slots, open: () => open };
}
const signal = (): AbortSignal => new AbortController().signal;

it("gives an answer that is paid for though its lane cannot remember it", async () => {
  const contexts: ManualDeps["contexts"] = {
    read: async () => ({ window: { entries: [{ ts: 1, seq: 1, json: "{}" }], oldestSeq: 1, newestSeq: 1 }, memory: [] }),
    remember: () => never,
    clear: async () => undefined,
    broadcast: () => Promise.reject(new Error("moving")),
  };
  const { manual, added, slots, open } = world(async () => GOOD, { contexts });
  expect(await manual.ask(QUESTION, { signal: signal() })).toMatchObject({ answer: "up", tokensUsed: 12 });
  expect(added).toEqual([["bob", "c1", 12]]);
  expect([slots.free(), open()]).toEqual([1, 0]);
});

it("bills what a failed call had used, and gives its place and its reservation back", async () => {
  const usage = countedUsage(10, 5);
  const { manual, added, slots, open } = world(() => Promise.reject(new ProviderError("bad_answer", "cut", { usage })));
  await expect(manual.ask(QUESTION, { signal: signal() })).rejects.toMatchObject({ status: 502, message: "p error: cut" });
  expect(added).toEqual([["bob", "c1", 15]]);
  expect([slots.free(), open()]).toEqual([1, 0]);
});

it("bills nothing for a call that was never made", async () => {
  const { manual, added, slots, open } = world(() => never);
  const held = await slots.acquire({ tenantId: "x", feedId: "x", kind: "auto", signal: signal() });
  const gone = new AbortController();
  const asked = manual.ask(QUESTION, { signal: gone.signal });
  await expect.poll(() => slots.waiting()).toBe(1);
  gone.abort(new Error("left"));
  await expect(asked).rejects.toThrow("left");
  held.release();
  expect([added, slots.free(), slots.waiting(), open()]).toEqual([[], 1, 0, 0]);
});
