import fc from "fast-check";
import { expect, it } from "vitest";
import { FairSlots, type Slot, type SlotRequest } from "./fair-slots.ts";

const request = (tenantId: string, feedId: string, kind: SlotRequest["kind"] = "manual", signal = new AbortController().signal): SlotRequest => ({
  tenantId, feedId, kind, signal,
}); // biome-ignore format: one literal
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Who got a place so far, in order; `free` gives the oldest one back. */
function crowd(slots: FairSlots) {
  const served: string[] = [];
  const held: Slot[] = [];
  return {
    served,
    want(name: string, ask: SlotRequest): void {
      void slots.acquire(ask).then((slot) => {
        served.push(name);
        held.push(slot);
      });
    },
    async free(): Promise<void> {
      held.shift()?.release();
      await settle();
    },
  };
}

it("gives places while there are some, and each back once", async () => {
  const slots = new FairSlots({ size: 2, perTenant: 2 });
  const first = await slots.acquire(request("t", "f"));
  await slots.acquire(request("t", "f"));
  expect([slots.size, slots.free(), slots.waiting()]).toEqual([2, 0, 0]);
  first.release();
  first.release();
  expect(slots.free()).toBe(1);
});

it("serves tenants in turns, then feeds of a tenant, then arrival", async () => {
  const slots = new FairSlots({ size: 1, perTenant: 1 });
  const people = crowd(slots);
  people.want("first", request("x", "x"));
  await settle();
  for (const name of ["a f1 1", "a f1 2", "a f2 1", "b f3 1", "b f3 2"]) {
    const [tenant = "", feed = ""] = name.split(" ");
    people.want(name, request(tenant, feed));
  }
  await settle();
  for (let i = 0; i < 5; i++) await people.free();
  expect(people.served).toEqual(["first", "a f1 1", "b f3 1", "a f2 1", "b f3 2", "a f1 2"]);
});

it("leaves places for others when all calls of a tenant hang (isolation)", async () => {
  const slots = new FairSlots({ size: 4, perTenant: 2 });
  const people = crowd(slots);
  for (let i = 0; i < 10; i++) people.want("hanging", request("t", "f", "auto"));
  people.want("other", request("u", "g"));
  await settle();
  expect(people.served).toEqual(["hanging", "hanging", "other"]);
  expect([slots.free(), slots.waiting()]).toEqual([1, 8]);
});

it("prefers people, but every fourth place goes to an automatic call that waits", async () => {
  const slots = new FairSlots({ size: 1, perTenant: 1 });
  const people = crowd(slots);
  people.want("first", request("x", "x"));
  await settle();
  for (let i = 0; i < 8; i++) people.want("m", request(`m${i}`, "f"));
  for (let i = 0; i < 2; i++) people.want("auto", request(`a${i}`, "f", "auto"));
  await settle();
  for (let i = 0; i < 10; i++) await people.free();
  expect(people.served.slice(1).join(" ")).toBe("m m m auto m m m auto m m");
});

it("forgets who does not wait any more", async () => {
  const slots = new FairSlots({ size: 1, perTenant: 1 });
  const first = await slots.acquire(request("t", "f"));
  const gone = new AbortController();
  const waiting = slots.acquire(request("u", "g", "manual", gone.signal));
  gone.abort(new Error("left"));
  await expect(waiting).rejects.toThrow("left");
  await expect(slots.acquire(request("u", "g", "manual", gone.signal))).rejects.toThrow("left");
  expect(slots.waiting()).toBe(0);
  first.release();
  expect(slots.free()).toBe(1);
});

it("never has more out than there are, nor leaves one idle that somebody may have", async () => {
  const action = fc.record({
    tenant: fc.constantFrom("a", "b", "c"),
    feed: fc.constantFrom("1", "2"),
    kind: fc.constantFrom("manual" as const, "auto" as const),
    isRelease: fc.boolean(),
    leaves: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
      const slots = new FairSlots({ size: 3, perTenant: 2 });
      const out: { tenant: string; slot: Slot }[] = [];
      const waiting = new Map<object, string>();
      for (const { tenant, feed, kind, isRelease, leaves } of actions) {
        if (isRelease) out.shift()?.slot.release();
        else {
          const controller = new AbortController();
          const id = {};
          waiting.set(id, tenant);
          void slots.acquire(request(tenant, feed, kind, controller.signal)).then(
            (slot) => {
              waiting.delete(id);
              out.push({ tenant, slot });
            },
            () => waiting.delete(id),
          );
          if (leaves) controller.abort();
        }
        await settle();
        expect(out.length).toBe(3 - slots.free());
        expect(out.length).toBeLessThanOrEqual(3);
        const used = Map.groupBy(out, (holder) => holder.tenant);
        for (const holders of used.values()) expect(holders.length).toBeLessThanOrEqual(2);
        if (out.length < 3) for (const name of waiting.values()) expect(used.get(name)?.length).toBe(2);
      }
    }),
    { numRuns: 60 },
  );
});
