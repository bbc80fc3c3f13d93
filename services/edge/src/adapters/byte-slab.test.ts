/** What is kept holds hardly more memory than it counts, whatever else is allocated beside it. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { testFrame } from "../testing/test-frame.ts";
import { ByteSlab } from "./byte-slab.ts";
import { FrameRing } from "./frame-ring.ts";
import { decodeEntry } from "./log-entry.ts";
import { encodeFrame, SLICE_BYTES } from "./rfc6455.ts";
import { SendQueue } from "./send-queue.ts";

/** Bytes kept alive by these buffers. */
function memoryBehind(buffers: readonly Buffer[]): number {
  return [...new Set(buffers.map((buffer) => buffer.buffer))].reduce((sum, memory) => sum + memory.byteLength, 0);
}

/** A small frame from Node's pool, and others between it and the next one that nobody keeps. */
function pooled(text: string): Buffer {
  const frame = Buffer.from(text);
  for (let i = 0; i < 20; i++) Buffer.from("x".repeat(300));
  return frame;
}

it("keeps every byte, in blocks that stay while later ones are written", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 60 }), fc.constantFrom(64, 2_048, undefined), (parts, first) => {
      const slab = new ByteSlab(first);
      const copies = parts.map((part) => slab.copy(part));
      expect(copies.map((copy) => [...copy])).toEqual(parts.map((part) => [...part]));
    }),
  );
});

it("small ones share blocks, large ones have their own memory", () => {
  const slab = new ByteSlab();
  const small = Array.from({ length: 1_000 }, (_, i) => slab.copy(pooled(`${i} ${"s".repeat(200)}`)));
  const bytes = small.reduce((sum, copy) => sum + copy.length, 0);
  expect(memoryBehind(small)).toBeLessThan(bytes + SLICE_BYTES);
  const large = new ByteSlab().copy(Buffer.alloc(20_000));
  expect(large.buffer.byteLength).toBe(20_000);
});

it("keeps buffers that own their memory as they are", () => {
  const slab = new ByteSlab();
  const own = Buffer.allocUnsafeSlow(5_000);
  expect(slab.keep(own)).toBe(own);
  const pooledOne = pooled("small");
  expect(slab.keep(pooledOne)).not.toBe(pooledOne);
  expect(slab.keep(pooledOne)).toEqual(pooledOne);
});

it("a ring of small frames and their rendered forms holds about what it counts", () => {
  const slab = new ByteSlab();
  const ring = new FrameRing(1_000_000);
  const held: Buffer[] = [];
  for (let seq = 1; seq <= 500; seq++) {
    const data = Buffer.from(testFrame([{ tenant: "acme", ext: { v: `visitor-${seq}` } }], seq));
    const decoded = decodeEntry({ seq, timeMs: seq, data }, slab);
    if (!decoded.ok) throw new Error(decoded.reason);
    ring.push(decoded.entry);
    const { chunks } = decoded.entry.variant("0|plain", () => {
      const frame = pooled("rendered".repeat(40));
      return { chunks: [frame], bytes: frame.length, events: 1 };
    });
    held.push(decoded.entry.body, ...chunks);
  }
  expect(ring.length).toBe(500);
  expect(memoryBehind(held)).toBeLessThan(ring.bytes + SLICE_BYTES);
});

it("a queue of small frames holds about what it counts, and nothing once it is empty", () => {
  const queue = new SendQueue();
  const wide = (): Buffer => encodeFrame(Buffer.alloc(SLICE_BYTES - 100));
  const expected: string[] = [];
  queue.push(wide());
  for (let i = 0; i < 200; i++) {
    expected.push(`frame ${i}`);
    // Every small one between two wide ones, so that it is taken alone and can be looked at.
    queue.push(pooled(`frame ${i}`.padEnd(300, ".")));
    queue.push(wide());
  }
  const taken: Buffer[] = [];
  while (queue.bytes > 0) {
    const slice = queue.takeSlice();
    if (slice.length === 300) taken.push(slice);
  }
  expect(taken.map((slice) => slice.toString().replace(/\.+$/, ""))).toEqual(expected);
  expect(memoryBehind(taken)).toBeLessThan(200 * 300 * 2 + 2 * SLICE_BYTES);
  expect(new Set(taken.map((slice) => slice.buffer)).size).toBeLessThan(20);
});
