import { createRegistryStore } from "@headwater/messaging";
import type { RegistryRecord } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { feedRecord } from "../fixtures/feed-record.ts";
import { createFeedConfigs } from "./feed-configs.ts";

const ID = "697d10f5824ee2ba77fcad87";
const record = (data: unknown): RegistryRecord =>
  ({ v: 1, type: "feed.updated", aggregate: "feed", id: ID, at: "", data }) as RegistryRecord;

describe("settings of a feed at a position", () => {
  const store = createRegistryStore();
  store.apply(record(feedRecord(ID, { topicField: "a" })), 3);
  store.apply(record(feedRecord(ID, { topicField: "b[-1]" })), 5);
  store.apply(record(null), 7);
  store.apply(record({ id: ID }), 9);
  store.apply(record(feedRecord(ID, { topicField: "a[", bufferTtlMinutes: 600 })), 11);
  const configs = createFeedConfigs(store.view);
  const steps = (reg: number) => configs.at(reg).of(ID)?.path?.steps;

  it("are those of that position, whatever came later", () => {
    expect([2, 3, 4, 5, 6].map(steps)).toEqual([undefined, ["a"], ["a"], ["b", -1], ["b", -1]]);
    expect(configs.at(4).of(ID)).toBe(configs.at(3).of(ID));
  });
  it("are looked up anew while the position has not been read yet", () => {
    const late = createRegistryStore();
    const { of } = createFeedConfigs(late.view).at(5);
    late.apply(record(feedRecord(ID, { topicField: "a" })), 3);
    expect(of(ID)?.path?.steps).toEqual(["a"]);
    late.apply(record(feedRecord(ID, { topicField: "b" })), 5);
    expect(of(ID)?.path?.steps).toEqual(["b"]);
    late.apply(record(feedRecord(ID, { topicField: "c" })), 6);
    expect(of(ID)?.path?.steps).toEqual(["b"]);
  });
  it("do not exist for a deleted feed or a record nobody can read", () => {
    expect(configs.at(7).of(ID)).toBeUndefined();
    expect(configs.at(9).of(ID)).toBeUndefined();
    expect(configs.at(9).of("697d10f5824ee2ba77fcad88")).toBeUndefined();
  });
  it("bear an invalid topic field, and keep no message longer than the log does", () => {
    expect(configs.at(11).of(ID)).toMatchObject({ isRouted: true, path: undefined, bufferTtlMs: 3_600_000 });
  });
});
