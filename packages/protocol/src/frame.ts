/**
 * NDJSON frames: one message holds every output of one input chunk plus the position reached, so the two cannot diverge.
 * Line 1 is the header; then two lines per output: the wire bytes of the contract's default frame, and an ext object.
 * Readers parse the header always, ext lines only when needed, wire lines never. Vectors: vectors/frames.json.
 */
import { z } from "zod";
import { OUTPUT_FAMILIES } from "./subjects.ts";

export const FRAME_VERSION = 1;

const position = z.number().int().nonnegative();
export const FrameHeader = z.object({
  v: z.literal(FRAME_VERSION),
  family: z.enum(OUTPUT_FAMILIES),
  /** Stream generation of the lane's input, e.g. `g1`. */
  gen: z.string(),
  /** Revision of the lane lease under which it was written. */
  epoch: position,
  /** Input position reached: sequence in the lane's input stream. */
  in: position,
  /** Items of message `in` already folded, when a message was split over two frames; absent = the whole message. */
  at: position.optional(),
  /** REGISTRY position the fold used. */
  reg: position,
  /** `[in, reg]` where the registry position changed since the oldest durable snapshot page, oldest first: replay uses the config of that position. */
  regs: z.array(z.tuple([position, position])),
  /** Number of outputs. */
  n: position,
  /** Distinct routing keys of the outputs (tenants, feeds, sessions): a reader with no interest skips the frame. */
  keys: z.array(z.string()),
});
export type FrameHeader = z.infer<typeof FrameHeader>;

export interface FrameOutput {
  /** One JSON object, no newline. */
  wire: string;
  /** One JSON object, no newline. */
  ext: string;
}

export function encodeFrame(header: FrameHeader, outputs: readonly FrameOutput[]): string {
  let text = JSON.stringify(header);
  for (const output of outputs) text += `\n${output.wire}\n${output.ext}`;
  return text;
}

export type DecodedFrame = { ok: true; header: FrameHeader; body: Uint8Array } | { ok: false; reason: string };

const decoder = new TextDecoder();

/** Parses line 1 only. `body` is the rest after its newline (empty for a position-only frame). Never throws. */
export function decodeFrameHeader(bytes: Uint8Array): DecodedFrame {
  const end = bytes.indexOf(10);
  const line = end === -1 ? bytes : bytes.subarray(0, end);
  let parsed: unknown;
  try {
    parsed = JSON.parse(decoder.decode(line));
  } catch {
    return { ok: false, reason: "header is not JSON" };
  }
  // Hand-checked instead of zod: this runs for every frame on every edge.
  if (!isHeader(parsed)) return { ok: false, reason: "not a frame header" };
  return { ok: true, header: parsed, body: end === -1 ? new Uint8Array(0) : bytes.subarray(end + 1) };
}

function isHeader(value: unknown): value is FrameHeader {
  if (typeof value !== "object" || value === null) return false;
  // The cast only widens property access; every field used is checked.
  const h = value as Record<string, unknown>;
  return (
    h["v"] === FRAME_VERSION &&
    FAMILIES.has(h["family"]) &&
    typeof h["gen"] === "string" &&
    isPosition(h["epoch"]) &&
    isPosition(h["in"]) &&
    (h["at"] === undefined || isPosition(h["at"])) &&
    isPosition(h["reg"]) &&
    isPosition(h["n"]) &&
    Array.isArray(h["keys"]) &&
    h["keys"].every((key) => typeof key === "string") &&
    Array.isArray(h["regs"]) &&
    h["regs"].every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isPosition))
  );
}

const FAMILIES: ReadonlySet<unknown> = new Set(OUTPUT_FAMILIES);

function isPosition(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

/** Byte ranges `[start, end)` into `body`, alternating wire, ext, wire, ext, … Throws RangeError when there are not `2 n` lines. */
export function frameLineRanges(body: Uint8Array, n: number): Int32Array {
  const ranges = new Int32Array(n * 4);
  let start = 0;
  for (let i = 0; i < n * 2; i++) {
    if (start > body.length || (start === body.length && n > 0)) throw new RangeError("frame has fewer lines than its header says");
    const newline = body.indexOf(10, start);
    const end = newline === -1 ? body.length : newline;
    ranges[i * 2] = start;
    ranges[i * 2 + 1] = end;
    start = end + 1;
  }
  if (start < body.length) throw new RangeError("frame has more lines than its header says");
  return ranges;
}
