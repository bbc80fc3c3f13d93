import { decodeFrameHeader, frameLineRanges } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { buildFrames, type FrameContext, type ItemOutputs, OutputTooLarge, positionFrame } from "./frame-batch.ts";

const context: FrameContext = { family: "signals", gen: "g1", epoch: 7, reg: 3, regs: [[1, 3]] };
const item = (seq: number, index: number, isLast: boolean, ...wires: [key: string, wire: string][]): ItemOutputs => ({
  seq,
  index,
  isLast,
  outputs: wires.map(([routingKey, wire]) => ({ routingKey, wire, ext: { k: 0 } })),
});
const open = (text: string) => {
  const decoded = decodeFrameHeader(new TextEncoder().encode(text));
  if (!decoded.ok) throw new Error(decoded.reason);
  frameLineRanges(decoded.body, decoded.header.n);
  return { header: decoded.header, lines: text.split("\n").slice(1) };
};

describe("frames of a chunk", () => {
  it("is one while it fits, with each routing key once", () => {
    const frames = buildFrames(
      context,
      [item(5, 0, false, ["t1", '{"a":1}'], ["t2", '{"b":1}']), item(5, 1, true, ["t1", '{"c":1}'])],
      1_000,
      2_000,
    );
    expect(frames).toHaveLength(1);
    const { header, lines } = open(frames[0]?.text ?? "");
    expect(header).toEqual({ v: 1, family: "signals", gen: "g1", epoch: 7, in: 5, reg: 3, regs: [[1, 3]], n: 3, keys: ["t1", "t2"] });
    expect(lines).toEqual(['{"a":1}', '{"k":0}', '{"b":1}', '{"k":1}', '{"c":1}', '{"k":0}']);
  });

  it("are split between items, each with its own routing keys and the position it proves", () => {
    const wire = `{"x":"${"y".repeat(60)}"}`;
    const items = [item(5, 0, false, ["t1", wire]), item(5, 1, true, ["t2", wire]), item(6, 0, true, ["t2", wire], ["t3", wire])];
    const frames = buildFrames(context, items, 100, 1_000).map((frame) => open(frame.text).header);
    expect(frames.map(({ in: seq, at, n, keys }) => ({ seq, at, n, keys }))).toEqual([
      { seq: 5, at: 1, n: 1, keys: ["t1"] },
      { seq: 5, at: undefined, n: 1, keys: ["t2"] },
      { seq: 6, at: undefined, n: 2, keys: ["t2", "t3"] },
    ]);
  });

  it("reach to the last item even when it put nothing out", () => {
    const frames = buildFrames(context, [item(5, 0, false, ["t1", "{}"]), item(9, 3, true)], 1_000, 2_000);
    expect(open(frames[0]?.text ?? "").header).toMatchObject({ in: 9, n: 1 });
    expect(buildFrames(context, [], 10, 10)).toEqual([]);
  });

  it("refuse outputs of one item that no message can hold", () => {
    expect(() => buildFrames(context, [item(1, 0, true, ["t", "x".repeat(300)])], 100, 200)).toThrow(OutputTooLarge);
  });
});

it("a position frame says only how far the lane is", () => {
  expect(open(positionFrame(context, 12, 3).text)).toMatchObject({ header: { in: 12, at: 3, n: 0, keys: [] }, lines: [] });
});
