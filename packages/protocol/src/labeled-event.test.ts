import { describe, expect, it } from "vitest";
import vectors from "../vectors/labeled-events.json" with { type: "json" };
import { FEED_INCLUDES, LabeledEvent, NUMERIC_SCORES, Scores } from "./labeled-event.ts";
import { SCORE_SIGNALS } from "./score-signals.ts";

describe("default event frames", () => {
  it.each(vectors.accepted)("$name: parsed and written again gives the same bytes", ({ text }) => {
    expect(JSON.stringify(LabeledEvent.parse(JSON.parse(text)))).toBe(text);
  });
  it("has its keys in the documented order", () => {
    expect(Object.keys(LabeledEvent.shape)).toEqual([
      "type",
      "ts",
      "visitorId",
      "sessionId",
      "eventType",
      "page",
      "bot",
      "behavioralClass",
      "device",
      "scores",
      "hasIdentified",
    ]);
  });
  it.each(vectors.refused)("refused: $name", ({ patch }) => {
    const valid: unknown = JSON.parse(vectors.accepted[0]?.text ?? "");
    const changed: Record<string, unknown> = Object.assign({}, valid, patch);
    expect(LabeledEvent.safeParse(valid).success).toBe(true);
    expect(LabeledEvent.safeParse(changed).success).toBe(false);
  });
  it("numbers scores in wire order", () => {
    expect(Object.keys(Scores.shape)).toEqual([...NUMERIC_SCORES, "emotionalState", "decisionStage"]);
    expect(Object.keys(SCORE_SIGNALS)).toEqual([...NUMERIC_SCORES]);
  });
  it("names the optional additions in the order they are written", () => {
    expect(FEED_INCLUDES).toEqual(["cursor", "ids", "time", "event", "labels", "explain", "locale", "origin"]);
  });
});
