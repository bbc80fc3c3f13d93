import { type AnalysisExt, decodeFrameHeader, encodeFrame, feedKeys, type FrameHeader } from "@headwater/protocol";
import { expect, it } from "vitest";
import { analysesOf, CLEAR_RUN, clearedWire, MANUAL_RUN, noteKey } from "./analysis-frame.ts";

const ext = (k: number, change: Partial<AnalysisExt> = {}): string =>
  JSON.stringify({ k, ts: 100, run: "r1", model: "m", promptVersion: 1, tokens: 3, window: [1, 7], ...change });

function read(keys: string[], outputs: { wire: string; ext: string }[]): ReturnType<typeof analysesOf> {
  const header: FrameHeader = { v: 1, family: "analyses", gen: "a1", epoch: 1, in: 1, reg: 1, regs: [], n: outputs.length, keys };
  const decoded = decodeFrameHeader(new TextEncoder().encode(encodeFrame(header, outputs)));
  if (!decoded.ok) throw new Error(decoded.reason);
  return analysesOf(decoded.header, decoded.body);
}

it("finds automatic answers and notes, and neither errors nor answers to people", () => {
  const wire = (type: string, payload: object): string => JSON.stringify({ type, payload });
  const keys = [feedKeys.topic("f", "a:b"), feedKeys.llm("f"), noteKey("f")];
  expect(
    read(keys, [
      { wire: wire("llm-intelligence", { feedId: "f", topic: "a:b", analysis: "up", provider: "p", timestamp: "x" }), ext: ext(0) },
      { wire: wire("llm-broadcast", { feedId: "f", answer: "down", provider: "p", timestamp: "x" }), ext: ext(1, { ts: 200 }) },
      { wire: wire("llm-broadcast", { feedId: "f", answer: "private words", provider: "p" }), ext: ext(1, { run: `${MANUAL_RUN}c1` }) },
      { wire: wire("llm-error", { feedId: "f", topic: "a:b", error: "openai timed out" }), ext: ext(0) },
      { wire: clearedWire("f", "a:b"), ext: ext(2, { run: `${CLEAR_RUN}c2`, window: [0, 9] }) },
      { wire: clearedWire("f", undefined), ext: ext(2, { run: `${CLEAR_RUN}c3`, window: [0, 11] }) },
    ]),
  ).toEqual([
    { kind: "answer", feedId: "f", topic: "a:b", ts: 100, answer: "up" },
    { kind: "answer", feedId: "f", topic: undefined, ts: 200, answer: "down" },
    { kind: "cleared", feedId: "f", topic: "a:b", upToSeq: 9 },
    { kind: "cleared", feedId: "f", topic: undefined, upToSeq: 11 },
  ]);
});

it.each([
  ['{"type":"llm-intelligence"}', ext(0)],
  ["{}", "{}"],
  ["x", ext(0)],
])("refuses %s with %s", (wire, extLine) => {
  expect(() => read([feedKeys.llm("f")], [{ wire, ext: extLine }])).toThrow();
});
