/**
 * Catching up: moves replaying subscribers from their position to the live end, from the ring when it reaches back far enough, else by a
 * shared stream read (at most `maxReads` at once, no consumer per socket). Memory is bounded because nothing is buffered: a socket that is
 * full is not fed until it has room, and live frames it would miss are in the log. Order is the log's. Tests: fan-out.test.ts, resume.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import type { StreamPosition } from "../domain/position.ts";
import type { LogMessage, LogReader, StreamLog } from "../ports.ts";
import { ByteSlab } from "./byte-slab.ts";
import type { StreamHub } from "./hub.ts";
import { decodeEntry, type LogEntry } from "./log-entry.ts";
import { coalesce, SLICE_BYTES } from "./rfc6455.ts";
import type { Subscriber } from "./subscriber.ts";

export interface ResumeOptions {
  hub: StreamHub;
  source: StreamLog;
  maxReads: number;
  log: Logger;
  onDamaged(msg: LogMessage, reason: string): void;
}

/** A replaying socket is fed up to here and again below a quarter of it. */
const FULL_BYTES = 256 * 1024;
const ROOM_BYTES = FULL_BYTES / 4;
/** Frames for one socket before the next one has its turn. */
const TURN_FRAMES = 64;
/** Sockets this many frames apart share a read; who is further ahead would wait too long for the others. */
const SHARED_SPAN = 5_000;
/** A read that would be one of several waits this long for company. */
const GATHER_MS = 50;
/** How long a shared read waits for a member without room before it goes on without it. */
const STALL_MS = 250;

interface SharedRead {
  members: Set<Subscriber>;
  reader: LogReader | undefined;
}

export class Resumer {
  readonly #o: ResumeOptions;
  readonly #slab = new ByteSlab();
  readonly #turns: Subscriber[] = [];
  readonly #waitingForHub = new Set<Subscriber>();
  readonly #waitingForRead = new Set<Subscriber>();
  readonly #reads = new Set<SharedRead>();
  readonly #replaying = new Set<Subscriber>();
  #isTurnPlanned = false;
  #gather: NodeJS.Timeout | undefined;

  constructor(options: ResumeOptions) {
    this.#o = options;
    options.hub.onAdvance(() => {
      if (this.#waitingForHub.size === 0) return;
      const waiting = [...this.#waitingForHub];
      this.#waitingForHub.clear();
      for (const subscriber of waiting) this.#queueTurn(subscriber);
    });
    options.hub.onRewind((first) => {
      for (const subscriber of this.#replaying) this.#jump(subscriber, first);
    });
  }

  get replayingCount(): number {
    return this.#replaying.size;
  }

  get readCount(): number {
    return this.#reads.size;
  }

  /** Feeds the subscriber from its position; attaches it to the hub when it has caught up. */
  start(subscriber: Subscriber): void {
    this.#replaying.add(subscriber);
    this.#queueTurn(subscriber);
  }

  /** The socket is gone. */
  remove(subscriber: Subscriber): void {
    subscriber.state = "gone";
    this.#replaying.delete(subscriber);
    this.#waitingForHub.delete(subscriber);
    this.#waitingForRead.delete(subscriber);
    for (const read of this.#reads) if (read.members.has(subscriber)) this.#leave(read, subscriber);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#gather);
    await Promise.all([...this.#reads].map((read) => read.reader?.stop()));
  }

  #queueTurn(subscriber: Subscriber): void {
    if (subscriber.state !== "replaying") return;
    this.#turns.push(subscriber);
    if (this.#isTurnPlanned) return;
    this.#isTurnPlanned = true;
    setImmediate(() => {
      this.#isTurnPlanned = false;
      for (const next of this.#turns.splice(0)) this.#turn(next);
      // After all turns, so that sockets that came together share a read; while others run, those who come a little later do, too.
      if (this.#reads.size === 0) this.#startReads();
      else if (this.#waitingForRead.size > 0) this.#gather ??= setTimeout(() => this.#startReads(), GATHER_MS);
    });
  }

  #turn(subscriber: Subscriber): void {
    if (subscriber.state !== "replaying" || !subscriber.outlet.isOpen) return;
    const { hub } = this.#o;
    if (subscriber.position.next < hub.ring.from) {
      this.#waitingForRead.add(subscriber);
      return;
    }
    this.#feedFromRing(subscriber);
    if (subscriber.position.next > hub.position + 1) {
      // Ahead of this edge: another one had read further. Nothing is sent until we are there.
      this.#waitingForHub.add(subscriber);
    } else if (subscriber.position.next === hub.position + 1 && subscriber.position.at === 0) {
      this.#replaying.delete(subscriber);
      hub.attach(subscriber);
      subscriber.hooks.onLive();
    } else if (subscriber.position.next === hub.position + 1) {
      // Inside a frame that has not been read yet.
      this.#waitingForHub.add(subscriber);
    } else if (subscriber.outlet.bufferedBytes >= FULL_BYTES) {
      subscriber.outlet.whenRoom(subscriber, ROOM_BYTES, () => this.#queueTurn(subscriber));
    } else {
      this.#queueTurn(subscriber);
    }
  }

  #feedFromRing(subscriber: Subscriber): void {
    const { hub } = this.#o;
    const { ring } = hub;
    const batch = new Batch(subscriber);
    for (let frames = 0; frames < TURN_FRAMES && batch.bytes + subscriber.outlet.bufferedBytes < FULL_BYTES; frames++) {
      const entry = ring.firstAtOrAfter(subscriber.position.next);
      if (entry) {
        this.#deliver(subscriber, entry, batch);
        entry.forgetParsed();
      } else {
        // What lies between here and the hub's position was lost before the hub could read it.
        if (subscriber.position.next <= hub.position) this.#jump(subscriber, hub.end, batch);
        break;
      }
    }
    batch.send();
  }

  /** Tells the gap between the subscriber's position and a later (or, after a lost log, any other) one. */
  #jump(subscriber: Subscriber, to: StreamPosition, batch?: Batch): void {
    batch?.send();
    const from = subscriber.position;
    subscriber.position = to;
    subscriber.hooks.onGap(from, to);
  }

  #startReads(): void {
    clearTimeout(this.#gather);
    this.#gather = undefined;
    while (this.#reads.size < this.#o.maxReads && this.#waitingForRead.size > 0) {
      const waiting = [...this.#waitingForRead];
      const from = waiting.reduce((lowest, member) => Math.min(lowest, member.position.next), Number.MAX_SAFE_INTEGER);
      const members = new Set(waiting.filter((member) => member.position.next - from <= SHARED_SPAN));
      for (const member of members) this.#waitingForRead.delete(member);
      const read: SharedRead = { members, reader: undefined };
      this.#reads.add(read);
      read.reader = this.#o.source.read({
        from,
        onMessage: (msg) => this.#readMessage(read, msg),
        onGap: ({ to }) => {
          for (const member of read.members) if (member.position.next <= to) this.#jump(member, { next: to + 1, at: 0 });
        },
        onError: (error) => {
          this.#o.log.error({ err: error, stream: this.#o.source.stream }, "edge.replay_failed");
          this.#endRead(read);
        },
      });
      void read.reader.caughtUp.then(() => this.#finishRead(read));
    }
  }

  async #readMessage(read: SharedRead, msg: LogMessage): Promise<void> {
    const decoded = decodeEntry(msg, this.#slab);
    if (!decoded.ok) this.#o.onDamaged(msg, decoded.reason);
    for (const member of read.members) {
      if (member.position.next > msg.seq) continue;
      if (decoded.ok) {
        const batch = new Batch(member);
        this.#deliver(member, decoded.entry, batch);
        batch.send();
      } else this.#jump(member, { next: msg.seq + 1, at: 0 });
      if (member.position.next >= this.#o.hub.ring.from) {
        this.#leave(read, member);
        this.#queueTurn(member);
      }
    }
    const full = [...read.members].filter((member) => member.outlet.bufferedBytes >= FULL_BYTES);
    if (full.length > 0) await this.#waitForRoom(read, full);
  }

  #deliver(member: Subscriber, entry: LogEntry, batch: Batch): void {
    if (entry.seq > member.position.next) this.#jump(member, { next: entry.seq, at: 0 }, batch);
    try {
      batch.add(entry);
    } catch (error) {
      this.#o.onDamaged({ seq: entry.seq, timeMs: entry.timeMs, data: entry.body }, error instanceof Error ? error.message : String(error));
      this.#jump(member, { next: entry.seq + 1, at: 0 }, batch);
    }
  }

  /** Waits a little for the full ones; who is still full continues alone later, without holding a read. */
  async #waitForRoom(read: SharedRead, full: readonly Subscriber[]): Promise<void> {
    const roomy = Promise.withResolvers<void>();
    let left = full.length;
    const stalled = setTimeout(roomy.resolve, STALL_MS);
    for (const member of full) {
      member.outlet.whenRoom(member, ROOM_BYTES, () => {
        left--;
        if (left === 0) roomy.resolve();
      });
    }
    await roomy.promise;
    clearTimeout(stalled);
    for (const member of full) {
      if (member.outlet.bufferedBytes < FULL_BYTES || !read.members.has(member)) continue;
      this.#leave(read, member);
      member.outlet.whenRoom(member, ROOM_BYTES, () => this.#queueTurn(member));
    }
  }

  /**
   * Everything that was stored has been handed over. Whoever is still below an empty ring waits for messages that no longer exist;
   * with anything in the ring, the read goes on to it by itself.
   */
  #finishRead(read: SharedRead): void {
    const { ring } = this.#o.hub;
    if (!this.#reads.has(read) || ring.length > 0) return;
    for (const member of read.members) {
      if (member.position.next >= ring.from) continue;
      this.#jump(member, { next: ring.from, at: 0 });
      this.#leave(read, member);
      this.#queueTurn(member);
    }
  }

  #leave(read: SharedRead, member: Subscriber): void {
    read.members.delete(member);
    if (read.members.size === 0) this.#endRead(read);
  }

  #endRead(read: SharedRead): void {
    if (!this.#reads.delete(read)) return;
    for (const member of read.members) this.#queueTurn(member);
    read.members.clear();
    void read.reader?.stop();
    this.#startReads();
  }
}

/** Rendered frames of several entries for one subscriber, sent as one. */
class Batch {
  readonly #subscriber: Subscriber;
  #chunks: Buffer[] = [];
  #events = 0;
  bytes = 0;

  constructor(subscriber: Subscriber) {
    this.#subscriber = subscriber;
  }

  /** Moves the subscriber behind the entry. */
  add(entry: LogEntry): void {
    const { position } = this.#subscriber;
    const from = entry.seq === position.next ? position.at : 0;
    const result = this.#subscriber.render(entry, from);
    this.#subscriber.position = { next: entry.seq + 1, at: 0 };
    if (!result) return;
    if (result.isShared) this.#subscriber.lineage.count += result.rendered.events;
    for (const chunk of result.rendered.chunks) this.#chunks.push(chunk);
    this.bytes += result.rendered.bytes;
    this.#events += result.rendered.events;
    if (this.bytes >= SLICE_BYTES * 2) this.send();
  }

  send(): void {
    if (this.#chunks.length === 0) return;
    this.#subscriber.outlet.send({ chunks: coalesce(this.#chunks), bytes: this.bytes, events: this.#events });
    this.#chunks = [];
    this.bytes = 0;
    this.#events = 0;
  }
}
