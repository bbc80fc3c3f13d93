import type { RegistryAggregate, RegistryRecord, TenantRecord } from "@headwater/protocol";
import { expect, it } from "vitest";
import { type Fact, missingFacts } from "./restate.ts";

const tenant: TenantRecord = { id: "ten_1", slug: "acme", name: "Acme", plan: "scale", limits: { rules: 1, feeds: 2 }, createdAt: "x" };
const fact: Fact = { aggregate: "tenant", id: "ten_1", data: tenant };
const holding = (data: unknown) => ({
  get: (aggregate: RegistryAggregate, id: string): RegistryRecord | undefined =>
    data === undefined ? undefined : { v: 1, type: "t", aggregate, id, at: "", data },
});

it.each([
  ["nothing", undefined, true],
  ["the same", tenant, false],
  ["the same in another order", { ...tenant, limits: { feeds: 2, rules: 1 } }, false],
  ["the same and a member of a newer version", { ...tenant, colour: "red" }, false],
  ["an older plan", { ...tenant, plan: "free" }, true],
  ["garbage", { id: 1 }, true],
])("a registry that holds %s", (_name, data, isMissing) => {
  expect(missingFacts([fact], holding(data))).toEqual(isMissing ? [fact] : []);
});
