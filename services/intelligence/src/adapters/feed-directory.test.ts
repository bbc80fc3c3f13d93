import { createRegistryStore } from "@headwater/messaging";
import type { RegistryRecord } from "@headwater/protocol";
import { collectingLogger } from "@headwater/testkit";
import { expect, it } from "vitest";
import { feedRecord } from "../testing/feed-record.ts";
import { followFeeds } from "./feed-directory.ts";

const record = (id: string, data: unknown, aggregate: RegistryRecord["aggregate"] = "feed"): RegistryRecord => ({
  v: 1,
  type: "feed.updated",
  aggregate,
  id,
  at: "",
  data,
});

it("follows records that are made, changed, damaged and deleted", () => {
  const { log, lines } = collectingLogger();
  const store = createRegistryStore();
  store.apply(record("a", feedRecord("a")), 1);
  const feeds = followFeeds(store.view, log);
  const told: [string, string | undefined][] = [];
  const stop = feeds.onChange((id, feed) => told.push([id, feed?.name]));
  store.apply(record("b", feedRecord("b")), 2);
  store.apply(record("t", { id: "t" }, "tenant"), 3);
  store.apply(record("a", feedRecord("a", { name: "new" })), 4);
  store.apply(record("b", { id: "b" }), 5);
  store.apply(record("a", null), 6);
  expect(told).toEqual([
    ["b", "feed b"],
    ["a", "new"],
    ["b", undefined],
    ["a", undefined],
  ]);
  expect([...feeds.all()]).toEqual([]);
  expect(lines().map(({ msg }) => msg)).toEqual(["feeds.record_skipped"]);
  stop();
  store.apply(record("c", feedRecord("c")), 7);
  expect([told.length, feeds.get("c")?.name]).toEqual([4, "feed c"]);
});
