import { describe, expect, it } from "vitest";
import vectors from "../vectors/frames.json" with { type: "json" };
import { decodeFrameHeader, encodeFrame, FrameHeader, frameLineRanges } from "./frame.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

describe("frames", () => {
  it.each(vectors.frames)("writes: $name", ({ header, outputs, text }) => {
    expect(encodeFrame(FrameHeader.parse(header), outputs)).toBe(text);
  });

  it.each(vectors.frames)("reads: $name", ({ header, outputs, text }) => {
    const decoded = decodeFrameHeader(encoder.encode(text));
    if (!decoded.ok) throw new Error(decoded.reason);
    expect(decoded.header).toEqual(header);
    const ranges = frameLineRanges(decoded.body, decoded.header.n);
    const line = (i: number): string => decoder.decode(decoded.body.subarray(ranges[i * 2], ranges[i * 2 + 1]));
    expect(outputs.map((_, i) => ({ wire: line(i * 2), ext: line(i * 2 + 1) }))).toEqual(outputs);
  });

  it.each(vectors.notFrames)("refuses: $name", ({ text }) => {
    expect(decodeFrameHeader(encoder.encode(text)).ok).toBe(false);
  });

  it.each(vectors.notFrames)("the schema agrees with the hand-written check: $name", ({ text }) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      value = undefined;
    }
    expect(FrameHeader.safeParse(value).success).toBe(false);
  });

  it("refuses bytes that are not UTF-8 JSON", () => {
    expect(decodeFrameHeader(new Uint8Array([0xff, 0xfe, 10, 65])).ok).toBe(false);
  });

  it.each(vectors.wrongLineCount)("damaged body: $name", ({ body, n }) => {
    expect(() => frameLineRanges(encoder.encode(body), n)).toThrow(RangeError);
  });
});
