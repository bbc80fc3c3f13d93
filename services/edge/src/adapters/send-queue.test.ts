import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countFrames, encodeFrame, SLICE_BYTES } from "./rfc6455.ts";
import { type DropOwner, SendQueue } from "./send-queue.ts";

class Owner implements DropOwner {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  gapFrame(frames: number): Buffer {
    return encodeFrame(Buffer.from(`gap ${this.name} ${frames}`));
  }
}

const chunk = (text: string, frames = 1): Buffer => Buffer.concat(Array.from({ length: frames }, () => encodeFrame(Buffer.from(text))));

function textsOf(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const short = (bytes[at + 1] ?? 0) & 0x7f;
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    const length = short < 126 ? short : bytes.readUInt16BE(at + 2);
    texts.push(bytes.toString("utf8", at + header, at + header + length));
    at += header + length;
  }
  return texts;
}

const drain = (queue: SendQueue): string[] => {
  const texts: string[] = [];
  while (queue.bytes > 0) texts.push(...textsOf(queue.takeSlice()));
  return texts;
};

it("counts what may not be left out", () => {
  const queue = new SendQueue();
  const owner = new Owner("a");
  queue.push(chunk("kept"));
  queue.push(chunk("data"), owner);
  queue.push(chunk("kept too"));
  expect(queue.keptBytes).toBe(chunk("kept").length + chunk("kept too").length);
  queue.drop(1);
  expect(queue.keptBytes).toBe(chunk("kept").length + chunk("kept too").length);
  drain(queue);
  expect([queue.keptBytes, queue.bytes]).toEqual([0, 0]);
  queue.push(chunk("kept"));
  queue.clear();
  expect(queue.keptBytes).toBe(0);
});

it("countFrames", () => {
  const sizes = [0, 1, 125, 126, 65_535, 65_536, 70_000];
  expect(countFrames(Buffer.concat(sizes.map((size) => encodeFrame(Buffer.alloc(size)))))).toBe(sizes.length);
});

describe("SendQueue", () => {
  it("drops the oldest droppable chunks, keeps everything else in order, and tells each loss in its place", () => {
    const queue = new SendQueue();
    const [a, b] = [new Owner("a"), new Owner("b")];
    const data = (text: string, frames = 1): Buffer => chunk(text.padEnd(1_000), frames);
    queue.push(data("a1", 3), a);
    queue.push(chunk("reply"));
    queue.push(data("b1"), b);
    queue.push(data("a2"), a);
    queue.push(data("a3"), a);
    // The notes themselves need room, too.
    queue.drop(5_000 - 2 * 512);
    expect(queue.leftOut).toBe(5);
    expect(drain(queue).map((text) => text.trim())).toEqual(["gap a 4", "reply", "gap b 1", "a3"]);
    expect(queue.bytes).toBe(0);
    queue.push(chunk("a4"), a);
    queue.leaveOut(2, a);
    expect(drain(queue)).toEqual(["a4", "gap a 2"]);
  });

  it("joins small chunks up to a slice and never splits one", () => {
    const queue = new SendQueue();
    const big = chunk("x".repeat(60_000));
    queue.push(big);
    queue.push(chunk("y".repeat(10_000)));
    queue.push(chunk("z"));
    expect(queue.takeSlice()).toBe(big);
    expect(queue.takeSlice().length).toBeLessThan(SLICE_BYTES);
    expect(queue.bytes).toBe(0);
  });

  it("model: what comes out is what went in, but for told gaps", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), owner: fc.constantFrom(0, 1, 2), frames: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ kind: fc.constant("reply" as const) }),
      fc.record({ kind: fc.constant("drop" as const), bytes: fc.integer({ min: 0, max: 400 }) }),
      fc.record({ kind: fc.constant("take" as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new SendQueue();
        const owners = [new Owner("0"), new Owner("1"), new Owner("2")];
        const next = new Map<number, number>();
        const count = (counts: Map<number, number>, owner: number, by = 1): number => {
          const before = counts.get(owner) ?? 0;
          counts.set(owner, before + by);
          return before;
        };
        const out: string[] = [];
        let replies = 0;
        for (const s of steps) {
          if (s.kind === "push") {
            const frames = Array.from({ length: s.frames }, () => encodeFrame(Buffer.from(`${s.owner}:${count(next, s.owner)}`)));
            queue.push(Buffer.concat(frames), owners[s.owner]);
          } else if (s.kind === "reply") queue.push(chunk(`reply ${replies++}`));
          else if (s.kind === "drop") queue.drop(s.bytes);
          else if (queue.bytes > 0) out.push(...textsOf(queue.takeSlice()));
        }
        out.push(...drain(queue));
        expect(queue.bytes).toBe(0);
        expect(out.filter((text) => text.startsWith("reply"))).toEqual(Array.from({ length: replies }, (_, n) => `reply ${n}`));
        const at = new Map<number, number>();
        for (const text of out) {
          const gap = /^gap (\d) (\d+)$/.exec(text);
          const data = /^(\d):(\d+)$/.exec(text);
          if (gap) count(at, Number(gap[1]), Number(gap[2]));
          if (data) expect(count(at, Number(data[1]))).toBe(Number(data[2]));
        }
        expect(at).toEqual(next);
      }),
      { numRuns: 300 },
    );
  });
});
