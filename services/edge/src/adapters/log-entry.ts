/**
 * One stored frame in memory: header decoded once, lines found when first needed, `ext` lines parsed when first needed, and the rendered
 * bytes of views that several sockets share. Wire lines are copied, never parsed. Tests: fan-out.test.ts.
 */
import { decodeFrameHeader, frameLineRanges } from "@headwater/protocol";
import type { LogMessage } from "../ports.ts";
import type { ByteSlab } from "./byte-slab.ts";
import type { Rendered } from "./rfc6455.ts";

/** Rendered forms kept beside the frame; more are made and thrown away. */
const MAX_VARIANTS = 8;
const OVERHEAD_BYTES = 256;

export class LogEntry {
  readonly seq: number;
  readonly timeMs: number;
  readonly keys: readonly string[];
  readonly outputs: number;
  readonly body: Buffer;
  /** Set by the ring: told when the entry grows by a rendered form. */
  onGrow: ((bytes: number) => void) | undefined;
  readonly #slab: ByteSlab;
  #ranges: Int32Array | undefined;
  #parsed: unknown[] | undefined;
  #outputsByKey: Map<number, number[]> | undefined;
  #oldestEventMs: number | undefined;
  #variants: Map<string, Rendered> | undefined;
  #variantBytes = 0;

  /** @param slab holds `body` and the rendered forms for as long as the entry is kept. */
  constructor(init: { seq: number; timeMs: number; keys: readonly string[]; outputs: number; body: Uint8Array; slab: ByteSlab }) {
    this.seq = init.seq;
    this.timeMs = init.timeMs;
    this.keys = init.keys;
    this.outputs = init.outputs;
    this.body = init.slab.copy(init.body);
    this.#slab = init.slab;
  }

  get sizeBytes(): number {
    return this.body.length + this.#variantBytes + OVERHEAD_BYTES;
  }

  /** Bounds of a wire line in `body`. @throws RangeError when the frame is damaged. */
  wireStart(output: number): number {
    return this.#lines()[output * 4] ?? 0;
  }

  wireEnd(output: number): number {
    return this.#lines()[output * 4 + 1] ?? 0;
  }

  wireText(output: number): string {
    return this.body.toString("utf8", this.wireStart(output), this.wireEnd(output));
  }

  /** The parsed `ext` line; its shape is the writer's contract (LabelExt for signals). @throws SyntaxError when it is damaged. */
  ext<T>(output: number): T {
    this.#parsed ??= [];
    const known = this.#parsed[output];
    // Frames are written by our own services only; the schema is tested where they are written.
    if (known !== undefined) return known as T;
    const lines = this.#lines();
    const parsed: unknown = JSON.parse(this.body.toString("utf8", lines[output * 4 + 2], lines[output * 4 + 3]));
    this.#parsed[output] = parsed;
    return parsed as T;
  }

  /** Receive time of the oldest event inside, ms; every family's `ext` has `ts`. */
  get oldestEventMs(): number {
    if (this.#oldestEventMs === undefined) {
      let oldest = Number.POSITIVE_INFINITY;
      for (let output = 0; output < this.outputs; output++) oldest = Math.min(oldest, this.ext<{ ts: number }>(output).ts);
      this.#oldestEventMs = oldest;
    }
    return this.#oldestEventMs;
  }

  /** Outputs of one key in order. A frame of many keys is looked through once, not once per key. */
  outputsOf(keyIndex: number): readonly number[] {
    if (!this.#outputsByKey) {
      this.#outputsByKey = new Map();
      for (let output = 0; output < this.outputs; output++) {
        const key = this.keyIndexOf(output);
        const outputs = this.#outputsByKey.get(key);
        if (outputs) outputs.push(output);
        else this.#outputsByKey.set(key, [output]);
      }
    }
    return this.#outputsByKey.get(keyIndex) ?? [];
  }

  /** Index into `keys` of the one this output belongs to. */
  keyIndexOf(output: number): number {
    if (this.keys.length === 1) return 0;
    const start = this.#lines()[output * 4 + 2] ?? 0;
    return leadingKeyIndex(this.body, start) ?? this.ext<{ k: number }>(output).k;
  }

  /** The rendered form under `key`, made by `render` when it is not there yet. */
  variant(key: string, render: () => Rendered): Rendered {
    const known = this.#variants?.get(key);
    if (known) return known;
    const rendered = render();
    this.#variants ??= new Map();
    if (this.#variants.size >= MAX_VARIANTS) return rendered;
    const kept = { ...rendered, chunks: rendered.chunks.map((chunk) => this.#slab.keep(chunk)) };
    this.#variants.set(key, kept);
    this.#variantBytes += kept.bytes;
    this.onGrow?.(kept.bytes);
    return kept;
  }

  /** Parsed lines are many times larger than their text: kept only while the entry is being routed. */
  forgetParsed(): void {
    this.#parsed = undefined;
    this.#outputsByKey = undefined;
  }

  #lines(): Int32Array {
    this.#ranges ??= frameLineRanges(this.body, this.outputs);
    return this.#ranges;
  }
}

/** `{"k":12,…` without parsing the line; undefined when the member is not the first one. */
function leadingKeyIndex(body: Buffer, start: number): number | undefined {
  if (
    body[start] !== 0x7b ||
    body[start + 1] !== 0x22 ||
    body[start + 2] !== 0x6b ||
    body[start + 3] !== 0x22 ||
    body[start + 4] !== 0x3a
  ) {
    return undefined;
  }
  let at = start + 5;
  let value = 0;
  for (let digit = body[at]; digit !== undefined && digit >= 0x30 && digit <= 0x39; digit = body[++at]) value = value * 10 + digit - 0x30;
  return at === start + 5 ? undefined : value;
}

export type EntryResult = { ok: true; entry: LogEntry } | { ok: false; reason: string };

/** Copies the message into `slab`: what the client library hands over may be a view into a larger receive buffer. */
export function decodeEntry(msg: LogMessage, slab: ByteSlab): EntryResult {
  const decoded = decodeFrameHeader(msg.data);
  if (!decoded.ok) return decoded;
  const { header, body } = decoded;
  return { ok: true, entry: new LogEntry({ seq: msg.seq, timeMs: msg.timeMs, keys: header.keys, outputs: header.n, body, slab }) };
}
