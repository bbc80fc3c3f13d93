import { ApiFeed, FeedRecord } from "@headwater/protocol";
import { expect, it } from "vitest";
import { EMPTY_SECRETS } from "./feed-content.ts";
import { feedRecord, feedView, isVisible, type StoredFeed } from "./feed-view.ts";

const FEED: StoredFeed = {
  id: "697d10f5824ee2ba77fcad87",
  tenantId: "t1",
  userId: "697d0c62824ee2ba77fcad84",
  ownerName: "Dev One",
  name: "Coinbase",
  description: "Ticker for a few pairs",
  url: "wss://ws-feed.exchange.coinbase.com",
  category: "finance",
  isActive: true,
  isVerified: false,
  isPublic: true,
  feedType: "user",
  tags: null,
  subscriberCount: 2,
  settings: { connectionType: "websocket", connectionMessages: ["{}"], reconnectionEnabled: true, enableTopicRouting: false },
  sealed: undefined,
  resolved: undefined,
  createdAt: new Date("2026-01-30T20:13:41.199Z"),
  updatedAt: new Date("2026-01-30T20:13:41.199Z"),
  lastActiveAt: undefined,
};

it("is the documented list entry, byte for byte", () => {
  expect(JSON.stringify(feedView(FEED))).toBe(
    '{"_id":"697d10f5824ee2ba77fcad87","name":"Coinbase","description":"Ticker for a few pairs","url":"wss://ws-feed.exchange.coinbase.com","category":"finance","isActive":true,"isVerified":false,"isPublic":true,"feedType":"user","userId":"697d0c62824ee2ba77fcad84","ownerName":"Dev One","connectionType":"websocket","connectionMessages":["{}"],"reconnectionEnabled":true,"subscriberCount":2,"tags":null,"enableTopicRouting":false,"createdAt":"2026-01-30T20:13:41.199Z","updatedAt":"2026-01-30T20:13:41.199Z"}',
  );
});

it("shows secrets, the format and the schema to the owner only, and never the seal", () => {
  const feed: StoredFeed = {
    ...FEED,
    lastActiveAt: new Date(0),
    sealed: { kid: "k", iv: "i", ct: "c" },
    resolved: { kid: "k", iv: "i", ct: "d" },
    settings: {
      ...FEED.settings,
      connectionMessageFormat: "json",
      protobufSchema: "s",
      protobufType: "T",
      icon: "x",
      aiAnalysisEnabled: true,
    },
  };
  const secrets = { queryParams: [{ key: "q", value: "1" }], headers: [{ key: "h", value: "2" }], connectionMessage: "m" };
  const others = feedView(feed);
  expect(others).toMatchObject({ icon: "x", protobufType: "T", aiAnalysisEnabled: true, lastActiveAt: "1970-01-01T00:00:00.000Z" });
  for (const member of [
    "queryParams",
    "headers",
    "httpConfig",
    "connectionMessage",
    "connectionMessageFormat",
    "protobufSchema",
    "sealed",
    "resolved",
    "tenantId",
  ]) {
    expect(others).not.toHaveProperty(member);
  }
  const own = feedView(feed, secrets);
  expect(own).toEqual({ ...others, ...secrets, connectionMessageFormat: "json", protobufSchema: "s" });
  expect(ApiFeed.parse(own)).toEqual(own);
  expect(feedView(FEED, EMPTY_SECRETS)).toEqual(feedView(FEED));
});

it("makes a record with every default filled in", () => {
  expect(FeedRecord.parse(feedRecord(FEED))).toEqual({
    id: FEED.id,
    tenantId: "t1",
    userId: FEED.userId,
    name: "Coinbase",
    eventName: "",
    isPublic: true,
    isActive: true,
    hasSubscriptions: true,
    connectionType: "websocket",
    url: FEED.url,
    connectionMessages: ["{}"],
    connectionMessageDelayMs: 0,
    reconnectionEnabled: true,
    reconnectionDelay: 1_000,
    reconnectionAttempts: 0,
    dataFormat: "json",
    pingIntervalMs: 30_000,
    readTimeoutMs: 60_000,
    enableTopicRouting: false,
    autoAnalysis: false,
    bufferTtlMinutes: 30,
    createdAt: "2026-01-30T20:13:41.199Z",
    updatedAt: "2026-01-30T20:13:41.199Z",
  });
  const other = feedRecord({
    ...FEED,
    subscriberCount: 0,
    sealed: { kid: "k", iv: "i", ct: "c" },
    settings: { ...FEED.settings, connectionType: "protobuf", bufferTtlMinutes: 0, aiAnalysisEnabled: true, queryInterval: 5 },
  });
  expect(other).toMatchObject({
    hasSubscriptions: false,
    dataFormat: "protobuf",
    bufferTtlMinutes: 30,
    autoAnalysis: true,
    queryInterval: 5,
    sealed: { kid: "k" },
  });
  // References are for the owner to see; the connection is made of what they stand for.
  const referring = { ...FEED, sealed: { kid: "k", iv: "i", ct: "written" }, resolved: { kid: "k", iv: "i", ct: "resolved" } };
  expect(feedRecord(referring)).toEqual({ ...feedRecord(FEED), sealed: referring.resolved });
});

it("exists for its owner, and for others when public", () => {
  const hidden = { isPublic: false, tenantId: "t1" };
  expect([isVisible(hidden, "t1"), isVisible(hidden, "t2"), isVisible(hidden, undefined)]).toEqual([true, false, false]);
  expect(isVisible({ ...hidden, isPublic: true }, undefined)).toBe(true);
});
