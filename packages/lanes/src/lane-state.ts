/**
 * The fold state of one lane in memory: hot keys in 256 pages, dirty pages, least-recently-used order, and consistent
 * snapshots taken in slices (a page is serialised before the fold first changes it after the snapshot began).
 * No I/O. Tests: lane-state.test.ts.
 */
import { fnv1a32 } from "@headwater/protocol";
import { KeyFilter } from "./bloom.ts";
import { UndeclaredKey } from "./types.ts";

export const PAGES = 256;
/** Entry, map slots, page set: measured around 200 bytes besides the state. */
const ENTRY_OVERHEAD_BYTES = 220;
/** After an eviction the hot state is this share of its budget. */
const EVICT_TO_SHARE = 0.8;

export function pageOf(key: string): number {
  return fnv1a32(key) % PAGES;
}

export interface StateCodec<State> {
  newState(key: string): State;
  serialize(state: State): unknown;
  deserialize(json: unknown, schema: number): State;
  sizeOf(state: State): number;
}

interface Entry<State> {
  state: State;
  bytes: number;
  page: number;
  /** Chunk that touched it last. */
  chunk: number;
}

/** `[key, state]` as one line of JSON. */
export interface KeyLine {
  key: string;
  line: string;
}

export interface PageImage {
  page: number;
  /** Keys that stay hot. */
  lines: string[];
  /** Keys that leave memory when the round is durable. */
  evicted: KeyLine[];
}

/** One snapshot: a consistent image of everything that changed since the last one. */
export interface Round {
  chunk: number;
  pending: Set<number>;
  images: PageImage[];
  evict: Set<string>;
  tombstones: Set<string>;
  pages: number[];
}

export class LaneState<State> {
  readonly #codec: StateCodec<State>;
  readonly #budgetBytes: number;
  readonly #hot = new Map<string, Entry<State>>();
  readonly #pageKeys: Set<string>[] = Array.from({ length: PAGES }, () => new Set<string>());
  readonly #dirty = new Set<number>();
  readonly #cold = new KeyFilter();
  /** Keys deleted since the last durable snapshot that may have a cold row. */
  #tombstones = new Set<string>();
  #round: Round | undefined;
  #chunk = 1;
  #touched: Entry<State>[] = [];
  /** Keys looked up in the cold table for this chunk and not found there. */
  readonly #absent = new Set<string>();
  #bytes = 0;

  constructor(codec: StateCodec<State>, budgetBytes: number) {
    this.#codec = codec;
    this.#budgetBytes = budgetBytes;
  }

  get keys(): number {
    return this.#hot.size;
  }
  get bytes(): number {
    return this.#bytes;
  }
  get isOverBudget(): boolean {
    return this.#bytes > this.#budgetBytes;
  }
  /** Twice the budget: folding must wait until a snapshot lets keys go. */
  get isOverHardLimit(): boolean {
    return this.#bytes > 2 * this.#budgetBytes;
  }
  get isDirty(): boolean {
    return this.#dirty.size > 0 || this.#tombstones.size > 0;
  }

  // Folding

  /** Which of these keys must be looked up in the cold table before the fold. */
  coldCandidates(keys: Iterable<string>): string[] {
    const result = new Set<string>();
    for (const key of keys) if (this.#mayBeCold(key)) result.add(key);
    return [...result];
  }

  /** Call before looking keys up for a new chunk. */
  forgetAbsent(): void {
    this.#absent.clear();
  }

  /** The key was looked up and is not in the cold table. */
  markAbsent(key: string): void {
    this.#absent.add(key);
  }

  beginChunk(): void {
    this.#chunk++;
  }

  peek(key: string): State | undefined {
    const entry = this.#hot.get(key);
    if (entry) return entry.state;
    if (this.#mayBeCold(key)) throw new UndeclaredKey(`key was not declared by keysOf: ${key.slice(0, 80)}`);
    return undefined;
  }

  /** Get or create, for writing. */
  touch(key: string): State {
    let entry = this.#hot.get(key);
    if (entry === undefined) {
      if (this.#mayBeCold(key)) throw new UndeclaredKey(`key was not declared by keysOf: ${key.slice(0, 80)}`);
      const page = pageOf(key);
      this.#beforeChange(page);
      entry = this.#insert(key, this.#codec.newState(key), page);
      this.#tombstones.delete(key);
      this.#touched.push(entry);
    } else if (entry.chunk !== this.#chunk) {
      this.#beforeChange(entry.page);
      entry.chunk = this.#chunk;
      // Most recently used keys are last.
      this.#hot.delete(key);
      this.#hot.set(key, entry);
      this.#touched.push(entry);
    } else {
      // A snapshot may have begun since this chunk touched it.
      this.#beforeChange(entry.page);
    }
    this.#dirty.add(entry.page);
    return entry.state;
  }

  delete(key: string): void {
    const page = pageOf(key);
    if (this.#hot.has(key)) {
      this.#beforeChange(page);
      this.#remove(key);
      this.#dirty.add(page);
    }
    // A round that is about to evict the key will write its cold row after this deletion.
    if (this.#cold.mayContain(key) || this.#round?.evict.has(key)) this.#tombstones.add(key);
  }

  /** Measures what the chunk touched. */
  endChunk(): void {
    for (const entry of this.#touched) {
      const bytes = this.#codec.sizeOf(entry.state) + ENTRY_OVERHEAD_BYTES;
      // An entry deleted within the chunk is no longer counted.
      if (entry.chunk === -1) continue;
      this.#bytes += bytes - entry.bytes;
      entry.bytes = bytes;
    }
    this.#touched = [];
  }

  // Restoring and loading

  /** A key as a durable snapshot had it: neither new nor dirty. Ignored when the key is hot already or was deleted meanwhile. */
  load(key: string, json: unknown, schema: number): void {
    if (this.#hot.has(key) || this.#isTombstone(key)) return;
    const entry = this.#insert(key, this.#codec.deserialize(json, schema), pageOf(key));
    entry.bytes = this.#codec.sizeOf(entry.state) + ENTRY_OVERHEAD_BYTES;
    this.#bytes += entry.bytes;
  }

  addCold(key: string): void {
    this.#cold.add(key);
  }

  // Snapshots

  /** Starts a consistent image of the state as it is now. Call only between chunks and with no other round running. */
  beginRound(): Round {
    if (this.#round) throw new Error("a snapshot round is already running");
    const evict = new Set<string>();
    if (this.isOverBudget) {
      let kept = this.#bytes;
      for (const [key, entry] of this.#hot) {
        if (kept <= this.#budgetBytes * EVICT_TO_SHARE) break;
        evict.add(key);
        this.#dirty.add(entry.page);
        kept -= entry.bytes;
      }
    }
    const round: Round = {
      chunk: this.#chunk,
      pending: new Set(this.#dirty),
      images: [],
      evict,
      tombstones: this.#tombstones,
      pages: [...this.#dirty],
    };
    this.#dirty.clear();
    this.#tombstones = new Set();
    this.#round = round;
    return round;
  }

  /** Serialises pages for about `budgetMs`. @returns false when none is left. */
  stepRound(round: Round, budgetMs: number): boolean {
    const deadline = performance.now() + budgetMs;
    for (const page of round.pending) {
      this.#image(round, page);
      if (performance.now() > deadline) break;
    }
    return round.pending.size > 0;
  }

  /** The round is durable: evicted keys that nobody touched since leave memory. */
  commitRound(round: Round): void {
    for (const key of round.evict) {
      this.#cold.add(key);
      const entry = this.#hot.get(key);
      if (entry && entry.chunk <= round.chunk) this.#remove(key);
    }
    this.#round = undefined;
  }

  /** The round could not be stored: all of it is dirty again. */
  abortRound(round: Round): void {
    for (const page of round.pages) this.#dirty.add(page);
    for (const key of round.tombstones) if (!this.#hot.has(key)) this.#tombstones.add(key);
    this.#round = undefined;
  }

  /** Every hot key with its state as JSON. */
  *entries(): IterableIterator<[key: string, json: unknown]> {
    for (const [key, entry] of this.#hot) yield [key, this.#codec.serialize(entry.state)];
  }

  isHot(key: string): boolean {
    return this.#hot.has(key);
  }
  isDeleted(key: string): boolean {
    return this.#isTombstone(key);
  }

  #mayBeCold(key: string): boolean {
    return !this.#hot.has(key) && this.#cold.mayContain(key) && !this.#absent.has(key) && !this.#isTombstone(key);
  }

  #isTombstone(key: string): boolean {
    return this.#tombstones.has(key) || this.#round?.tombstones.has(key) === true;
  }

  #insert(key: string, state: State, page: number): Entry<State> {
    const entry: Entry<State> = { state, bytes: 0, page, chunk: this.#chunk };
    this.#hot.set(key, entry);
    this.#pageKeys[page]?.add(key);
    return entry;
  }

  #remove(key: string): void {
    const entry = this.#hot.get(key);
    if (!entry) return;
    this.#hot.delete(key);
    this.#pageKeys[entry.page]?.delete(key);
    this.#bytes -= entry.bytes;
    entry.chunk = -1;
  }

  #beforeChange(page: number): void {
    if (this.#round?.pending.has(page)) this.#image(this.#round, page);
  }

  #image(round: Round, page: number): void {
    const image: PageImage = { page, lines: [], evicted: [] };
    for (const key of this.#pageKeys[page] ?? []) {
      const entry = this.#hot.get(key);
      if (!entry) continue;
      const line = JSON.stringify([key, this.#codec.serialize(entry.state)]);
      if (round.evict.has(key)) image.evicted.push({ key, line });
      else image.lines.push(line);
    }
    round.images.push(image);
    round.pending.delete(page);
  }
}
