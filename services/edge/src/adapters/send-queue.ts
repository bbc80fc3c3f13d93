/**
 * What waits to be written to one socket, in order. Chunks with an owner may be dropped, oldest first; a note of the owner (how many of its
 * frames are missing) takes the place of the first one, so the client learns of the gap exactly where it is. Tests: send-queue.test.ts.
 */
import { ByteSlab } from "./byte-slab.ts";
import { countFrames, SLICE_BYTES } from "./rfc6455.ts";

/** One subscription of a socket. */
export interface DropOwner {
  /** The frame that tells that so many frames of this owner were left out here. */
  gapFrame(frames: number): Buffer;
}

interface Gap {
  owner: DropOwner;
  frames: number;
}

interface Droppable {
  owner: DropOwner;
  chunk: Buffer;
}

type Item = Buffer | Droppable | Gap;

/** What a note will need at most; counted from the start, so that notes are bounded like everything else. */
const GAP_BYTES = 512;
/** Of the memory of a queue; most sockets lag by a few frames only. */
const FIRST_BLOCK_BYTES = 2 * 1024;

export class SendQueue {
  #items: Item[] = [];
  #gaps: Map<DropOwner, Gap> | undefined;
  #slab: ByteSlab | undefined;
  #bytes = 0;
  #keptBytes = 0;
  #left = 0;

  /** Frames left out so far. */
  get leftOut(): number {
    return this.#left;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes without an owner: nothing makes room for more of them but the client. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  push(chunk: Buffer, owner?: DropOwner): void {
    // The first one is about to be written. Others may wait for long and must not hold more memory than is counted for them.
    const kept = this.#items.length === 0 ? chunk : (this.#slab ??= new ByteSlab(FIRST_BLOCK_BYTES)).keep(chunk);
    this.#items.push(owner ? { owner, chunk: kept } : kept);
    if (!owner) this.#keptBytes += chunk.length;
    this.#bytes += chunk.length;
  }

  /** Frees about `bytes`, oldest first, as far as chunks may be dropped. */
  drop(bytes: number): void {
    const goal = this.#bytes - bytes;
    const kept: Item[] = [];
    let at = 0;
    for (; at < this.#items.length && this.#bytes > goal; at++) {
      const item = this.#items[at];
      if (item === undefined) continue;
      if (Buffer.isBuffer(item) || "frames" in item) {
        kept.push(item);
        continue;
      }
      this.#bytes -= item.chunk.length;
      const gap = this.#note(countFrames(item.chunk), item.owner);
      if (gap) kept.push(gap);
    }
    this.#items.splice(0, at, ...kept);
  }

  /** Frames that were not even queued. */
  leaveOut(frames: number, owner: DropOwner): void {
    const gap = this.#note(frames, owner);
    if (gap) this.#items.push(gap);
  }

  /** The next write: one shared buffer as it is, or small ones joined up to a slice. */
  takeSlice(): Buffer {
    const taken: Buffer[] = [];
    let count = 0;
    let size = 0;
    for (const item of this.#items) {
      const chunk = Buffer.isBuffer(item) ? item : "chunk" in item ? item.chunk : item.owner.gapFrame(item.frames);
      if (count > 0 && size + chunk.length > SLICE_BYTES) break;
      count++;
      size += chunk.length;
      taken.push(chunk);
      if (Buffer.isBuffer(item)) this.#keptBytes -= chunk.length;
      if (!Buffer.isBuffer(item) && "frames" in item) {
        this.#gaps?.delete(item.owner);
        this.#bytes -= GAP_BYTES;
      } else this.#bytes -= chunk.length;
    }
    this.#items.splice(0, count);
    if (this.#items.length === 0) this.#slab = undefined;
    return taken.length === 1 && taken[0] ? taken[0] : Buffer.concat(taken, size);
  }

  clear(): void {
    this.#items = [];
    this.#slab = undefined;
    this.#gaps = undefined;
    this.#bytes = 0;
    this.#keptBytes = 0;
  }

  /**
   * Adds to the owner's note. Dropping goes from old to new, so between a note and the owner's next chunk nothing of it is left.
   * @returns a new note that still needs its place.
   */
  #note(frames: number, owner: DropOwner): Gap | undefined {
    this.#left += frames;
    this.#gaps ??= new Map();
    const known = this.#gaps.get(owner);
    if (known) {
      known.frames += frames;
      return undefined;
    }
    const gap = { owner, frames };
    this.#gaps.set(owner, gap);
    this.#bytes += GAP_BYTES;
    return gap;
  }
}
