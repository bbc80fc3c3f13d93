/** The outputs of one chunk as frames of bounded size, split on item boundaries only. Pure; tests: frame-batch.test.ts. */
import { encodeFrame, FRAME_VERSION, type FrameHeader, type FrameOutput, type OutputFamily } from "@headwater/protocol";
import type { RegChange } from "./registry-log.ts";
import type { Position } from "./types.ts";

export interface PendingOutput {
  routingKey: string;
  wire: string;
  ext: { k: number };
}

/** Outputs of one input item. `isLast`: the item ends its message. */
export interface ItemOutputs {
  seq: number;
  index: number;
  isLast: boolean;
  outputs: PendingOutput[];
}

export interface FrameContext {
  family: OutputFamily;
  gen: string;
  epoch: number;
  reg: number;
  regs: RegChange[];
}

export interface BuiltFrame {
  text: string;
  /** Position the frame proves. `at` as in the header. */
  in: number;
  at: number | undefined;
  outputs: number;
}

/** One frame cannot hold what a single item put out. */
export class OutputTooLarge extends Error {
  override readonly name = "OutputTooLarge";
  readonly at: Position;
  constructor(at: Position, bytes: number) {
    super(`the outputs of one item take ${bytes} bytes`);
    this.at = at;
  }
}

/**
 * @param items in order, whole messages at the end; items without outputs may be left out except the last.
 * @returns frames in order; the last proves the position of the last item. Empty for no items.
 * @throws OutputTooLarge when one item alone is over `hardLimitBytes`.
 */
export function buildFrames(
  context: FrameContext,
  items: readonly ItemOutputs[],
  softLimitBytes: number,
  hardLimitBytes: number,
): BuiltFrame[] {
  const frames: BuiltFrame[] = [];
  let keys = new Map<string, number>();
  let outputs: FrameOutput[] = [];
  let bytes = 0;
  let reached: ItemOutputs | undefined;

  const close = (): void => {
    if (!reached) return;
    frames.push(frameOf(context, reached.seq, reached.isLast ? undefined : reached.index + 1, outputs, [...keys.keys()]));
    keys = new Map();
    outputs = [];
    bytes = 0;
  };
  for (const item of items) {
    const keysBefore = keys.size;
    let encoded = encodeItem(item, keys);
    if (outputs.length > 0 && bytes + encoded.bytes > softLimitBytes) {
      for (const [key, index] of keys) if (index >= keysBefore) keys.delete(key);
      close();
      encoded = encodeItem(item, keys);
    }
    if (encoded.bytes > hardLimitBytes) throw new OutputTooLarge({ seq: item.seq, index: item.index }, encoded.bytes);
    for (const output of encoded.outputs) outputs.push(output);
    bytes += encoded.bytes;
    reached = item;
  }
  close();
  return frames;
}

/** A frame that only says how far the lane is. */
export function positionFrame(context: FrameContext, seq: number, at: number | undefined): BuiltFrame {
  return frameOf(context, seq, at, [], []);
}

function encodeItem(item: ItemOutputs, keys: Map<string, number>): { outputs: FrameOutput[]; bytes: number } {
  let bytes = 0;
  const outputs = item.outputs.map(({ routingKey, wire, ext }) => {
    let index = keys.get(routingKey);
    if (index === undefined) {
      index = keys.size;
      keys.set(routingKey, index);
      bytes += routingKey.length + 3;
    }
    ext.k = index;
    const text = JSON.stringify(ext);
    bytes += Buffer.byteLength(wire) + Buffer.byteLength(text) + 2;
    return { wire, ext: text };
  });
  return { outputs, bytes };
}

function frameOf(context: FrameContext, seq: number, at: number | undefined, outputs: FrameOutput[], keys: string[]): BuiltFrame {
  const header: FrameHeader = {
    v: FRAME_VERSION,
    family: context.family,
    gen: context.gen,
    epoch: context.epoch,
    in: seq,
    ...(at === undefined ? {} : { at }),
    reg: context.reg,
    regs: context.regs,
    n: outputs.length,
    keys,
  };
  return { text: encodeFrame(header, outputs), in: seq, at, outputs: outputs.length };
}
