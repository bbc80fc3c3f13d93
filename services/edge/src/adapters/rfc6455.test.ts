import fc from "fast-check";
import { expect, it } from "vitest";
import { coalesce, encodeFrame, FrameWriter, SLICE_BYTES } from "./rfc6455.ts";

/** Payloads of complete text frames, read the plain way. */
function payloads(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    expect(bytes[at]).toBe(0x81);
    const short = bytes[at + 1] ?? 0;
    const [head, length] =
      short < 126 ? [2, short] : short === 126 ? [4, bytes.readUInt16BE(at + 2)] : [10, Number(bytes.readBigUInt64BE(at + 2))];
    found.push(bytes.toString("utf8", at + head, at + head + length));
    at += head + length;
  }
  return found;
}

it("frames every payload, at every length form", () => {
  for (const length of [0, 125, 126, 65_535, 65_536]) {
    const frame = encodeFrame(Buffer.alloc(length, 97));
    expect(payloads(frame)).toEqual(["a".repeat(length)]);
  }
});

it("writes many, splices tails, cuts at frame boundaries only", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 400, unit: "grapheme" }), { maxLength: 60 }), (values) => {
      const writer = new FrameWriter(16);
      const expected: string[] = [];
      values.forEach((value, i) => {
        const json = JSON.stringify({ value });
        const source = Buffer.from(`xx${json}yy`);
        const end = source.length - 2;
        if (i % 3 === 0) writer.addBytes(source, 2, end);
        else if (i % 3 === 1) writer.addSpliced(source, 2, end, ',"ü":1');
        else writer.addText(json);
        expected.push(i % 3 === 1 ? `${json.slice(0, -1)},"ü":1}` : json);
      });
      const rendered = writer.finish();
      expect(rendered.events).toBe(values.length);
      expect(rendered.bytes).toBe(rendered.chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      expect(rendered.chunks.flatMap(payloads)).toEqual(expected);
    }),
  );
  const writer = new FrameWriter(16);
  for (let i = 0; i < 300; i++) writer.addText("x".repeat(1_000));
  const { chunks } = writer.finish();
  expect(chunks.length).toBeGreaterThan(4);
  expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(SLICE_BYTES);
  expect(chunks.flatMap(payloads)).toHaveLength(300);
});

it("joins neighbours up to a slice and keeps order and bytes", () => {
  const chunks = Array.from({ length: 100 }, (_, i) => Buffer.alloc(1 + ((i * 997) % 9_000), i));
  const joined = coalesce(chunks);
  expect(Buffer.concat(joined)).toEqual(Buffer.concat(chunks));
  expect(joined.length).toBeLessThan(15);
  expect(coalesce([])).toEqual([]);
});
