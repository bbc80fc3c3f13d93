import { LANE_COUNT } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { UsageError } from "../terminal.ts";
import { covers, sourcesOf } from "./what.ts";

describe("sourcesOf", () => {
  it.each([
    ["signals", [{ stream: "SIGNALS" }]],
    ["signals.>", [{ stream: "SIGNALS" }]],
    ["signals.3", [{ stream: "SIGNALS", subject: "signals.3" }]],
    ["topics.>", [{ stream: "TOPICS" }]],
    ["analyses.7", [{ stream: "ANALYSES", subject: "analyses.7" }]],
    ["feeds.3", [{ stream: "FEEDS_3" }]],
    ["visits.3", [{ stream: "VISITS_3" }]],
    ["sockets", [{ stream: "SOCKETS" }]],
    ["sockets.k1", [{ stream: "SOCKETS", subject: "sockets.k1" }]],
    ["registry", [{ stream: "REGISTRY" }]],
    ["registry.key.>", [{ stream: "REGISTRY", subject: "registry.key.>" }]],
    ["dlq", [{ stream: "DLQ" }]],
  ])("%s", (what, sources) => {
    expect(sourcesOf(what)).toEqual(sources);
  });
  it("reads every lane of a laned input", () => {
    expect(sourcesOf("visits").length).toBe(LANE_COUNT);
    expect(sourcesOf("visits.*").length).toBe(LANE_COUNT);
  });
  it.each(["posts.>", "visits.99", "nonsense", "a b", "", "signals."])("refuses %j", (what) => {
    expect(() => sourcesOf(what)).toThrow(UsageError);
  });
});

it.each([
  [">", "a.b", true],
  ["a.>", "a", false],
  ["a.*", "a.b", true],
  ["a.*", "a.b.c", false],
  ["a.*", "a.>", false],
  ["a.b", "a.*", false],
  ["a.>", "a.*", true],
])("covers(%s, %s) = %s", (wide, narrow, expected) => {
  expect(covers(wide, narrow)).toBe(expected);
});
