import { expect, it } from "vitest";
import { contextView, providersView } from "./call-views.ts";

const FEED = { id: "f", name: 'a "feed"' };
const TS = 1_769_788_800_123;
const TIME = "2026-01-30T16:00:00.123Z";
const view = (json: string, topic?: string): string => {
  const entries = [{ ts: TS, seq: 1, json, topic }];
  const text = contextView(FEED, { entries, oldestSeq: 1, newestSeq: 1 });
  return /"entries":\[(.*)\],"entryCount"/s.exec(text)?.[1] ?? text;
};

it.each([
  ['{"a":1e400}', `{"_timestamp":"${TIME}","a":1e400}`],
  ["{}", `{"_timestamp":"${TIME}"}`],
  ["{ }", `{"_timestamp":"${TIME}"}`],
  ["[1,2]", `{"raw":[1,2],"_timestamp":"${TIME}"}`],
  ["7", `{"raw":7,"_timestamp":"${TIME}"}`],
  ['{"raw":"text"}', `{"_timestamp":"${TIME}","raw":"text"}`],
  // The message's own member of that name stays, once.
  ['{"_timestamp":"mine"}', '{"_timestamp":"mine"}'],
  ['{"a":{"_timestamp":1}}', `{"_timestamp":"${TIME}","a":{"_timestamp":1}}`],
])("shows %s as %s", (json, shown) => {
  expect(view(json)).toBe(shown);
});

it("shows topics where several meet", () => {
  expect(view('{"a":1}', "x")).toBe(`{"_timestamp":"${TIME}","_topic":"x","a":1}`);
  expect(view("1", "x")).toBe(`{"raw":1,"_timestamp":"${TIME}","_topic":"x"}`);
});

it("is JSON around the messages", () => {
  const window = { entries: [{ ts: TS, seq: 1, json: '{"a":1}' }], oldestSeq: 1, newestSeq: 1 };
  expect(JSON.parse(contextView(FEED, window))).toEqual({
    feedId: "f",
    feedName: FEED.name,
    entries: [{ a: 1, _timestamp: TIME }],
    entryCount: 1,
    hasContext: true,
    updatedAt: TIME,
  });
  expect(contextView(FEED, undefined)).toBe('{"feedId":"f","entries":[],"entryCount":0,"hasContext":false}');
});

it("lists providers in their order", () => {
  const models = { gemini: "g", openai: "o" };
  const pool = { ids: ["openai", "gemini"], models: () => models, select: () => ({ ok: true as const, id: "gemini" }) };
  expect(providersView(pool)).toEqual({ enabled: true, providers: ["openai", "gemini"], default: "gemini", models });
});
