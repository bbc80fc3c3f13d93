/**
 * Complete server frames (unmasked, unfragmented), many per buffer: the same bytes serve every socket with the same view.
 * Buffers are cut at frame boundaries near 64 KiB, so a socket that stalls between two writes never holds half a frame of ours.
 * Tests: rfc6455.test.ts.
 */

export const OP_TEXT = 0x1;
export const OP_PING = 0x9;
export const OP_PONG = 0xa;

/** Preferred size of one socket write. */
export const SLICE_BYTES = 64 * 1024;

export interface Rendered {
  chunks: readonly Buffer[];
  bytes: number;
  /** Frames inside that are events. */
  events: number;
}

export const NOTHING: Rendered = { chunks: [], bytes: 0, events: 0 };

export function encodeFrame(payload: Buffer, opcode: number = OP_TEXT): Buffer {
  const header = headerBytes(payload.length);
  const frame = Buffer.allocUnsafe(header + payload.length);
  writeHeader(frame, 0, payload.length, opcode);
  payload.copy(frame, header);
  return frame;
}

/** Frames in a buffer of whole frames of ours. */
export function countFrames(chunk: Buffer): number {
  let count = 0;
  for (let at = 0; at < chunk.length; count++) {
    const short = (chunk[at + 1] ?? 0) & 0x7f;
    if (short < 126) at += 2 + short;
    else if (short === 126) at += 4 + chunk.readUInt16BE(at + 2);
    else at += 10 + chunk.readUInt32BE(at + 2) * 2 ** 32 + chunk.readUInt32BE(at + 6);
  }
  return count;
}

function headerBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10;
}

function writeHeader(target: Buffer, at: number, length: number, opcode: number): number {
  target[at] = 0x80 | opcode;
  if (length < 126) {
    target[at + 1] = length;
    return at + 2;
  }
  if (length < 65_536) {
    target[at + 1] = 126;
    target.writeUInt16BE(length, at + 2);
    return at + 4;
  }
  target[at + 1] = 127;
  target.writeUInt32BE(Math.floor(length / 2 ** 32), at + 2);
  target.writeUInt32BE(length >>> 0, at + 6);
  return at + 10;
}

/** Builds text frames one after the other into few buffers. */
export class FrameWriter {
  #buffer: Buffer;
  #at = 0;
  #events = 0;
  readonly #cuts: number[] = [];
  #sliceStart = 0;

  /** @param expectedBytes first allocation; grows when it was too small. */
  constructor(expectedBytes: number) {
    this.#buffer = Buffer.allocUnsafe(Math.max(64, expectedBytes));
  }

  /** One event whose payload is `source[start, end)` as it is. */
  addBytes(source: Buffer, start: number, end: number): void {
    this.#begin(end - start);
    source.copy(this.#buffer, this.#at, start, end);
    this.#at += end - start;
  }

  /** One event: `source[start, end)`, a JSON object, with `tail` (ASCII or not) spliced in before its final brace. */
  addSpliced(source: Buffer, start: number, end: number, tail: string): void {
    const tailBytes = Buffer.byteLength(tail);
    this.#begin(end - start + tailBytes);
    source.copy(this.#buffer, this.#at, start, end - 1);
    this.#at += end - 1 - start;
    this.#buffer.write(tail, this.#at);
    this.#at += tailBytes;
    this.#buffer[this.#at++] = 0x7d;
  }

  addText(text: string): void {
    const length = Buffer.byteLength(text);
    this.#begin(length);
    this.#buffer.write(text, this.#at);
    this.#at += length;
  }

  finish(): Rendered {
    if (this.#events === 0) return NOTHING;
    const chunks: Buffer[] = [];
    let from = 0;
    for (const cut of [...this.#cuts, this.#at]) {
      if (cut > from) chunks.push(this.#buffer.subarray(from, cut));
      from = cut;
    }
    return { chunks, bytes: this.#at, events: this.#events };
  }

  #begin(length: number): void {
    const size = headerBytes(length) + length;
    if (this.#at - this.#sliceStart + size > SLICE_BYTES && this.#at > this.#sliceStart) {
      this.#cuts.push(this.#at);
      this.#sliceStart = this.#at;
    }
    if (this.#at + size > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + size));
      this.#buffer.copy(larger, 0, 0, this.#at);
      this.#buffer = larger;
    }
    this.#at = writeHeader(this.#buffer, this.#at, length, OP_TEXT);
    this.#events++;
  }
}

/** Joins neighbours into buffers of about `SLICE_BYTES`, so that one flush is one write per socket. Input chunks are never split. */
export function coalesce(chunks: readonly Buffer[]): readonly Buffer[] {
  if (chunks.length < 2) return chunks;
  const joined: Buffer[] = [];
  let run: Buffer[] = [];
  let runBytes = 0;
  const close = (): void => {
    if (run.length === 1 && run[0]) joined.push(run[0]);
    else if (run.length > 1) joined.push(Buffer.concat(run, runBytes));
    run = [];
    runBytes = 0;
  };
  for (const chunk of chunks) {
    if (runBytes > 0 && runBytes + chunk.length > SLICE_BYTES) close();
    run.push(chunk);
    runBytes += chunk.length;
  }
  close();
  return joined;
}
