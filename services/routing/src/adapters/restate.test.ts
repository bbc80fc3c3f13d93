import type { RegistryRecord } from "@headwater/protocol";
import { expect, it } from "vitest";
import { feedRecord, type StoredFeed } from "../domain/feed-view.ts";
import { differentFeeds, restateFeeds } from "./restate.ts";

const FEED: StoredFeed = {
  id: "f1",
  tenantId: "t1",
  userId: "u1",
  ownerName: "",
  name: "a",
  description: "",
  url: "wss://a.example.com",
  category: "",
  isActive: true,
  isVerified: false,
  isPublic: true,
  feedType: "user",
  tags: null,
  subscriberCount: 1,
  settings: { connectionType: "websocket", connectionMessages: [], reconnectionEnabled: true, enableTopicRouting: false },
  sealed: undefined,
  resolved: undefined,
  createdAt: new Date(0),
  updatedAt: new Date(0),
  lastActiveAt: undefined,
};
const record = (id: string, data: unknown): RegistryRecord => ({ v: 1, type: "t", aggregate: "feed", id, at: "", data });
const holding = (...records: RegistryRecord[]) => ({
  get: (_aggregate: string, id: string) => records.find((one) => one.id === id),
  list: () => records,
});
const shuffled = Object.fromEntries(Object.entries(feedRecord(FEED)).reverse());

it.each([
  ["nothing", [], ["f1"]],
  ["the same", [record("f1", feedRecord(FEED))], []],
  ["the same in another order", [record("f1", shuffled)], []],
  ["the same and a member of a newer version", [record("f1", { ...feedRecord(FEED), colour: "red" })], []],
  ["another name", [record("f1", { ...feedRecord(FEED), name: "b" })], ["f1"]],
  ["garbage", [record("f1", { id: 1 })], ["f1"]],
  ["a feed that is gone", [record("f1", feedRecord(FEED)), record("f2", feedRecord({ ...FEED, id: "f2" }))], ["f2"]],
])("a registry that holds %s", (_name, records, different) => {
  expect(differentFeeds([FEED], holding(...records))).toEqual(different);
});

it("waits for the outbox before it calls anything missing", async () => {
  let held = holding();
  const told: string[][] = [];
  const ports = {
    store: { loadAll: async () => [FEED], restate: async (ids: readonly string[]) => void told.push([...ids]) },
    registry: { get: (a: "feed", id: string) => held.get(a, id), list: () => held.list() } as Parameters<
      typeof restateFeeds
    >[0]["registry"],
    relay: {
      flush: async () => {
        held = holding(record("f1", feedRecord(FEED)));
        return true;
      },
      wake: () => undefined,
    },
  };
  expect(await restateFeeds(ports)).toBe(0);
  held = holding();
  ports.relay.flush = async () => true;
  expect(await restateFeeds(ports)).toBe(1);
  expect(told).toEqual([["f1"]]);
});
