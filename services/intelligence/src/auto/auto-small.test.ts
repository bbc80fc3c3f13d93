import { describe, expect, it } from "vitest";
import { analysisKey, answerWire, errorWire } from "./analysis-wire.ts";
import { runId } from "./run-id.ts";

const FEED = "65f789abc1230a1b2c3d4e5f";
const TOPIC = { feedId: FEED, topic: "BTC:USDT" };
const PLAIN = { feedId: FEED };

describe("wire", () => {
  it("answers about a topic as the contract shows them", () => {
    expect(answerWire(TOPIC, 'up "3 %"\n', "openai", Date.UTC(2026, 0, 30, 15, 45, 30, 123))).toBe(
      `{"type":"llm-intelligence","payload":{"feedId":"${FEED}","topic":"BTC:USDT","analysis":"up \\"3 %\\"\\n","provider":"openai","timestamp":"2026-01-30T15:45:30.123Z"}}`,
    );
    expect(analysisKey(TOPIC)).toBe(`${FEED}:BTC:USDT`);
  });

  it("answers about a plain feed to those who asked for its intelligence", () => {
    expect(answerWire(PLAIN, "calm", "builtin", 0)).toBe(
      `{"type":"llm-broadcast","payload":{"feedId":"${FEED}","answer":"calm","provider":"builtin","timestamp":"1970-01-01T00:00:00.000Z"}}`,
    );
    expect(analysisKey(PLAIN)).toBe(`${FEED}?`);
  });

  it("tells failures, without a topic for a plain feed", () => {
    expect(errorWire(TOPIC, "openai timed out")).toBe(
      `{"type":"llm-error","payload":{"error":"openai timed out","feedId":"${FEED}","topic":"BTC:USDT"}}`,
    );
    expect(errorWire(PLAIN, "x")).toBe(`{"type":"llm-error","payload":{"error":"x","feedId":"${FEED}"}}`);
  });
});

describe("a run's id", () => {
  it("is one per feed, topic and tick", () => {
    const ids = [
      { feedId: "a", topic: "b", tick: "10:1" },
      { feedId: "a", topic: "b", tick: "10:2" },
      { feedId: "a", topic: "c", tick: "10:1" },
      { feedId: "ab", topic: "", tick: "10:1" },
      { feedId: "a", tick: "10:1" },
      { feedId: "a", topic: "null", tick: "10:1" },
    ].map(runId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(runId({ feedId: "a", topic: "b", tick: "10:1" })).toBe(ids[0]);
    expect(ids[0]).toMatch(/^[A-Za-z0-9_-]{32}$/);
  });
});
