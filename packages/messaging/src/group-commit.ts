/**
 * Group commit: per lane at most one publish in flight; what arrives meanwhile goes out as the next message. Idle lanes send
 * at once, busy lanes batch themselves; above a rate of messages lanes take turns, so that a message serves more events. A caller's promise settles only with the acknowledgement of the message that holds its
 * event. A timeout is *unknown*: the same bytes go out again under the same id until acknowledged or the deadline.
 * Memory is bounded per lane and in total. Tests: group-commit.test.ts, group-commit.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import type { Nats } from "./connection.ts";
import { randomId } from "./ids.ts";
import { createMessagePace, type EventPace, type MessagePace } from "./message-pace.ts";
import { createPublisher, PublishError, type Publisher } from "./publisher.ts";

export type AppendErrorCode = "full" | "backpressure" | "unavailable";

/** `full`: the stream refuses (503). `backpressure`: our queue limits (429). `unavailable`: broker down or deadline passed (503); the event may or may not be stored. */
export class AppendError extends Error {
  override readonly name = "AppendError";
  readonly code: AppendErrorCode;
  constructor(code: AppendErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface GroupCommitOptions {
  subjectOf(lane: number): string;
  lanes: number;
  maxEvents: number;
  maxBytes: number;
  /** Messages a second over all lanes above which lanes take turns. Default: no limit. */
  messagesPerSecond?: number;
  /** How much slower messages get the more events come. Default: not at all. */
  eventPace?: EventPace;
  /** Default 4 MiB. */
  maxQueueBytesPerLane?: number;
  /** Default 64 MiB. */
  maxQueueBytes?: number;
  /** From the first attempt of a message to giving up. */
  deadlineMs: number;
  /** One attempt. Default 2,000. */
  attemptTimeoutMs?: number;
  log: Logger;
}

export interface GroupCommitStats {
  batches: number;
  events: number;
  bytes: number;
  retries: number;
  /** Batches that the server had already: a retry of an unknown outcome. */
  duplicates: number;
  failures: number;
  pendingBytes: number;
}

export interface GroupCommit {
  /** One event, JSON without newline. Rejects with {@link AppendError}. */
  append(lane: number, line: string): Promise<{ seq: number }>;
  /** Events kept adjacent and in order (over several messages when they exceed one). Settles when all are acknowledged; `seq` is the last message's. */
  appendMany(lane: number, lines: readonly string[]): Promise<{ seq: number }>;
  /** Whether `bytes` more would be taken now, in total and by each of `lanes`. */
  admit(bytes: number, lanes?: readonly number[]): "ok" | "full" | "down";
  pendingBytes(): number;
  stats(): GroupCommitStats;
  /** Sends what is queued, waits for it, then refuses. */
  close(): Promise<void>;
}

interface Item {
  line: string;
  bytes: number;
  /** Null for all but the last line of an `appendMany`. */
  done: { resolve(result: { seq: number }): void; reject(error: AppendError): void } | null;
}

interface LaneQueue {
  lane: number;
  items: Item[];
  bytes: number;
  running: Promise<void> | undefined;
}

export function createGroupCommit(
  nats: Pick<Nats, "connected" | "onStatus">,
  options: GroupCommitOptions,
  publisher: Publisher,
): GroupCommit;
export function createGroupCommit(nats: Nats, options: GroupCommitOptions): GroupCommit;
export function createGroupCommit(
  nats: Nats | Pick<Nats, "connected" | "onStatus">,
  options: GroupCommitOptions,
  publisher?: Publisher,
): GroupCommit {
  // The cast holds by the overloads: without a publisher, `nats` is a whole connection.
  return new Commit(nats, options, publisher ?? createPublisher(nats as Nats), publisher === undefined);
}

const MAX_BACKOFF_MS = 250;

class Commit implements GroupCommit {
  readonly #nats: Pick<Nats, "connected" | "onStatus">;
  readonly #options: GroupCommitOptions;
  readonly #publisher: Publisher;
  readonly #ownsPublisher: boolean;
  readonly #queues: LaneQueue[];
  readonly #maxLane: number;
  readonly #maxTotal: number;
  readonly #pace: MessagePace | undefined;
  readonly #stats: GroupCommitStats = { batches: 0, events: 0, bytes: 0, retries: 0, duplicates: 0, failures: 0, pendingBytes: 0 };
  #total = 0;
  #isClosed = false;

  constructor(nats: Pick<Nats, "connected" | "onStatus">, options: GroupCommitOptions, publisher: Publisher, ownsPublisher: boolean) {
    this.#nats = nats;
    this.#options = options;
    this.#publisher = publisher;
    this.#ownsPublisher = ownsPublisher;
    this.#maxLane = options.maxQueueBytesPerLane ?? 4 * 1024 * 1024;
    this.#maxTotal = options.maxQueueBytes ?? 64 * 1024 * 1024;
    this.#pace =
      options.messagesPerSecond === undefined
        ? undefined
        : createMessagePace({
            perSecond: options.messagesPerSecond,
            burst: options.lanes,
            ...(options.eventPace === undefined ? {} : { events: options.eventPace }),
          });
    this.#queues = Array.from({ length: options.lanes }, (_, lane) => ({ lane, items: [], bytes: 0, running: undefined }));
  }

  append(lane: number, line: string): Promise<{ seq: number }> {
    return this.appendMany(lane, [line]);
  }

  appendMany(lane: number, lines: readonly string[]): Promise<{ seq: number }> {
    const queue = this.#queues[lane];
    if (!queue || lines.length === 0) return Promise.reject(new RangeError(queue ? "nothing to append" : `no lane ${lane}`));
    if (this.#isClosed) return Promise.reject(new AppendError("unavailable", "shutting down"));
    return new Promise((resolve, reject) => {
      const items: Item[] = lines.map((line) => ({ line, bytes: Buffer.byteLength(line) + 1, done: null }));
      const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
      if (queue.bytes + bytes > this.#maxLane || this.#total + bytes > this.#maxTotal) {
        return reject(new AppendError("backpressure", "the queue is full"));
      }
      const last = items.at(-1);
      if (last) last.done = { resolve, reject };
      for (const item of items) queue.items.push(item);
      queue.bytes += bytes;
      this.#total += bytes;
      queue.running ??= this.#run(queue);
    });
  }

  admit(bytes: number, lanes: readonly number[] = []): "ok" | "full" | "down" {
    if (this.#isClosed || !this.#nats.connected()) return "down";
    if (this.#total + bytes > this.#maxTotal) return "full";
    return lanes.some((lane) => (this.#queues[lane]?.bytes ?? 0) + bytes > this.#maxLane) ? "full" : "ok";
  }

  pendingBytes(): number {
    return this.#total;
  }

  stats(): GroupCommitStats {
    return { ...this.#stats, pendingBytes: this.#total };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#queues.map((queue) => queue.running));
    if (this.#ownsPublisher) this.#publisher.close();
  }

  async #run(queue: LaneQueue): Promise<void> {
    try {
      while (queue.items.length > 0) {
        // One turn of the loop lets everything that has arrived share the message.
        await new Promise((resolve) => setImmediate(resolve));
        const isPaced = !this.#isFull(queue);
        if (isPaced) await this.#pace?.turn();
        const batch = takeBatch(queue.items, this.#options.maxEvents, this.#options.maxBytes);
        if (isPaced) this.#pace?.filled(batch.length);
        try {
          const seq = await this.#send(queue.lane, batch);
          this.#release(queue, batch);
          for (const item of batch) item.done?.resolve({ seq });
        } catch (error) {
          this.#failLane(queue, batch, toAppendError(error));
        }
      }
    } finally {
      queue.running = undefined;
    }
  }

  /** A whole message waits: nothing is gained by waiting longer, and a flood is not held up. */
  #isFull(queue: LaneQueue): boolean {
    return queue.items.length >= this.#options.maxEvents || queue.bytes >= this.#options.maxBytes;
  }

  async #send(lane: number, batch: readonly Item[]): Promise<number> {
    const payload = batch.map((item) => item.line).join("\n");
    const msgId = randomId();
    const subject = this.#options.subjectOf(lane);
    const deadline = performance.now() + this.#options.deadlineMs;
    for (let attempt = 0; ; attempt++) {
      const remainingMs = deadline - performance.now();
      try {
        const timeoutMs = Math.max(50, Math.min(this.#options.attemptTimeoutMs ?? 2_000, remainingMs));
        const ack = await this.#publisher.publish(subject, payload, { msgId, timeoutMs });
        this.#stats.batches++;
        this.#stats.events += batch.length;
        this.#stats.bytes += payload.length;
        if (ack.duplicate) this.#stats.duplicates++;
        return ack.seq;
      } catch (error) {
        if (!(error instanceof PublishError) || !error.retryable || performance.now() >= deadline) throw error;
        this.#stats.retries++;
        await this.#reconnectedOr(Math.min(10 * 2 ** attempt, MAX_BACKOFF_MS), deadline);
      }
    }
  }

  /** Short backoff while connected; while not, waits for the connection or the deadline. */
  #reconnectedOr(backoffMs: number, deadline: number): Promise<void> {
    const isUp = this.#nats.connected();
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        stopListening();
        resolve();
      };
      const timer = setTimeout(finish, Math.max(0, isUp ? backoffMs : deadline - performance.now()));
      const stopListening = this.#nats.onStatus((event) => {
        if (event !== "disconnect") finish();
      });
    });
  }

  /** What waits behind a batch that could not be sent fails with it: the broker is gone or the stream full, and senders retry. */
  #failLane(queue: LaneQueue, batch: readonly Item[], error: AppendError): void {
    const waiting = queue.items;
    queue.items = [];
    this.#stats.failures++;
    this.#options.log.warn(
      { lane: queue.lane, code: error.code, err: error.cause, events: batch.length + waiting.length },
      "group_commit.failed",
    );
    this.#release(queue, batch);
    this.#release(queue, waiting);
    for (const item of batch) item.done?.reject(error);
    for (const item of waiting) item.done?.reject(error);
  }

  #release(queue: LaneQueue, items: readonly Item[]): void {
    const bytes = items.reduce((sum, item) => sum + item.bytes, 0);
    queue.bytes -= bytes;
    this.#total -= bytes;
  }
}

/** At least one item, then as many as fit both limits. */
function takeBatch(items: Item[], maxEvents: number, maxBytes: number): Item[] {
  let count = 0;
  let bytes = 0;
  while (count < items.length && count < maxEvents) {
    bytes += items[count]?.bytes ?? 0;
    if (count > 0 && bytes > maxBytes) break;
    count++;
  }
  return items.splice(0, count);
}

function toAppendError(error: unknown): AppendError {
  if (error instanceof PublishError && error.code === "stream_full") return new AppendError("full", "the stream is full", { cause: error });
  return new AppendError("unavailable", "the log could not be written in time", { cause: error });
}
