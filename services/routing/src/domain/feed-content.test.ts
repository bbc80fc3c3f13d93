import type { FeedRequest } from "@headwater/protocol";
import { expect, it } from "vitest";
import {
  applyFeedRequest,
  connectionMessagesOf,
  createFeedContent,
  eventNameOf,
  type FeedContent,
  MAX_CONTENT_BYTES,
} from "./feed-content.ts";

const MINIMAL: FeedRequest = { name: "a", url: "wss://a.example.com" };
const content = (request: FeedRequest = {}, before?: FeedContent): FeedContent => {
  const applied = before ? applyFeedRequest(before, request) : createFeedContent({ ...MINIMAL, ...request });
  if (!applied.ok) throw new Error(applied.message);
  return applied.content;
};
const refusal = (request: FeedRequest, before?: FeedContent): string | undefined => {
  const applied = before ? applyFeedRequest(before, request) : createFeedContent(request);
  return applied.ok ? undefined : applied.message;
};

it("begins with the contract's defaults", () => {
  expect(content()).toEqual({
    name: "a",
    description: "",
    url: "wss://a.example.com",
    category: "",
    isActive: true,
    isPublic: false,
    tags: null,
    settings: { connectionType: "websocket", connectionMessages: [], reconnectionEnabled: true, enableTopicRouting: false },
    secrets: { queryParams: [], headers: [] },
  });
});

it("changes what is given, clears with null, keeps the rest and the old content", () => {
  const before = content({
    tags: ["x"],
    topicField: "s",
    enableTopicRouting: true,
    queryInterval: 5,
    icon: "i",
    aiAnalysisEnabled: true,
    headers: [{ key: "a", value: "b" }],
    httpConfig: { requestBody: "r" },
    connectionMessage: "hi",
  });
  const copy = structuredClone(before);
  expect(content({}, before)).toEqual(before);
  const after = content({ tags: null, queryInterval: null, icon: "", aiAnalysisEnabled: false, description: "d" }, before);
  expect(after).toEqual({
    ...before,
    tags: null,
    description: "d",
    settings: { connectionType: "websocket", connectionMessages: [], reconnectionEnabled: true, enableTopicRouting: true, topicField: "s" },
  });
  expect(content({ headers: null, httpConfig: null, connectionMessage: null }, before).secrets).toEqual({ queryParams: [], headers: [] });
  expect(before).toEqual(copy);
});

it("replaces the whole map of topic prompts", () => {
  const before = content({ topicPrompts: { a: { question: "1" }, b: { question: "2" } } });
  expect(content({ topicPrompts: { c: {} } }, before).settings.topicPrompts).toEqual({ c: {} });
  expect(content({ topicPrompts: null }, before).settings).not.toHaveProperty("topicPrompts");
});

it("makes one form of request headers and the topic field", () => {
  const pairs = content({
    httpConfig: {
      requestHeaders: [
        { key: "A", value: "1" },
        { key: " ", value: "2" },
      ],
      method: "post",
    },
  });
  const map = content({ httpConfig: { requestHeaders: { A: "1" }, method: "POST" } });
  expect(pairs.secrets.httpConfig).toEqual(map.secrets.httpConfig);
  expect(content({ topicField: " s " }).settings.topicField).toBe("s");
});

it("trims messages, drops blank ones, minifies objects", () => {
  expect(connectionMessagesOf([" a ", "", " ", { b: [1] }, ["c"]])).toEqual(["a", '{"b":[1]}', '["c"]']);
  expect(connectionMessagesOf(null)).toEqual([]);
});

it("knows what only holds for the whole", () => {
  expect(refusal({ url: MINIMAL.url })).toBe("name is required");
  expect(refusal({ name: "a" })).toBe("url is invalid");
  expect(refusal({ ...MINIMAL, enableTopicRouting: true })).toBe("topicField is required when enableTopicRouting is true");
  const routed = content({ enableTopicRouting: true, topicField: "s" });
  expect(refusal({ topicField: null }, routed)).toBe("topicField is required when enableTopicRouting is true");
  expect(refusal({ topicField: null, enableTopicRouting: false }, routed)).toBeUndefined();
  expect(refusal({ dataFormat: "protobuf", protobufType: "T" }, routed)).toBe("protobufSchema and protobufType are required for protobuf");
  expect(refusal({ dataFormat: "protobuf", protobufType: "T", protobufSchema: "x" }, routed)).toBeUndefined();
  expect(refusal({ readTimeoutMs: 30_000 }, routed)).toBe("readTimeoutMs must be longer than pingIntervalMs");
  expect(refusal({ pingIntervalMs: 60_000 }, routed)).toBe("readTimeoutMs must be longer than pingIntervalMs");
  expect(refusal({ pingIntervalMs: 5_000, readTimeoutMs: 10_000 }, routed)).toBeUndefined();
  // Bytes, not characters, count.
  expect(refusal({ connectionMessages: Array.from({ length: 9 }, () => "ä".repeat(MAX_CONTENT_BYTES / 18)) }, routed)).toBe(
    "feed is too large",
  );
});

it("names events of Socket.IO only", () => {
  expect(eventNameOf({ connectionType: "websocket" })).toBe("");
  expect(eventNameOf({ connectionType: "socketio" })).toBe("message");
  expect(eventNameOf({ connectionType: "socketio", eventName: "trade" })).toBe("trade");
});
