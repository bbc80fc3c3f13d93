/**
 * Ordered reader of one stream: an ephemeral pull consumer that is made anew whenever a message was missed, the consumer
 * vanished or the connection came back. Never skips silently: what the stream no longer holds is told by `onGap`.
 * Memory is bounded by `maxBytesInFlight`; a promise from `onMessage` holds the next message back. Tests: reader.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import { headers as emptyHeaders, type Msg as ClientMsg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { connectionOf, type Nats, newInbox } from "./connection.ts";
import { randomId } from "./ids.ts";
import { parseDelivery } from "./delivery.ts";
import { StreamMissing, streamState } from "./streams.ts";

export interface ReadMessage {
  seq: number;
  subject: string;
  data: Uint8Array;
  /** Time the server stored it, ms. */
  timeMs: number;
  /** Matching messages behind this one at the time of delivery. */
  pending: number;
  header(name: string): string | undefined;
}

export type ReadFrom = { seq: number } | { timeMs: number } | "new" | "last" | "all";

export interface ReaderOptions {
  stream: string;
  /** Exact subject or filter; omitted = whole stream. */
  subject?: string;
  /** `seq` is inclusive. */
  from: ReadFrom;
  onMessage(msg: ReadMessage): void | Promise<void>;
  /** Sequences `from … to` were asked for and are gone (age, bytes, purge). Not called for the part before the oldest of `from: "all"`. */
  onGap?(gap: { from: number; to: number }): void;
  /** `onMessage` threw or rejected: the reader has stopped; its position is before that message. */
  onError?(error: unknown): void;
  /**
   * Default 8 MiB; at least 2.25 MiB, so that two messages of 1 MiB fit; a message over half of it is fetched alone. The sum over all readers of a connection must stay
   * well below the server's `max_pending` (64 MiB), or a busy process is cut off as a slow consumer.
   */
  maxBytesInFlight?: number;
  log?: Logger;
}

export interface Reader {
  /** Last sequence handled, 0 before the first; starts one below the first asked for when that is known. */
  position(): number;
  /** Resolves once everything that was in the stream when the reader started has been handled. */
  readonly caughtUp: Promise<void>;
  /** After this no callback runs; resolves when a running one has returned. */
  stop(): Promise<void>;
}

const PULL_MESSAGES = 1_000;
const PULL_EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 2_000;
/** Missed heartbeats in a row after which the consumer is made anew. */
const SILENCE_MS = 3 * HEARTBEAT_MS;
const IDLE_CONSUMER_LIVES_MS = 30_000;
const HEALTHY_MS = 10_000;
const SLOTS = 2;
const MIN_BYTES_IN_FLIGHT = SLOTS * 1_152 * 1024;

interface Slot {
  index: number;
  pull: number;
  /** Messages the server still owes for the outstanding pull; 0 = no pull. */
  owed: number;
  /** The pull has a byte budget and nothing came for it yet. */
  isFresh: boolean;
}

export function openReader(nats: Nats, options: ReaderOptions): Reader {
  const reader = new OrderedReader(nats, connectionOf(nats), options);
  reader.begin();
  return reader;
}

class OrderedReader implements Reader {
  readonly caughtUp: Promise<void>;
  readonly #nats: Nats;
  readonly #connection: NatsConnection;
  readonly #options: ReaderOptions;
  readonly #inbox: string;
  readonly #maxPullBytes: number;
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, (_, index) => ({ index, pull: 0, owed: 0, isFresh: false }));
  readonly #queue: ReadMessage[] = [];
  readonly #closers: (() => void)[] = [];
  #consumer = "";
  #consumerSeq = 0;
  #handled = 0;
  #received = 0;
  #start: ReadFrom;
  #generation = 0;
  #failures = 0;
  #healthySince = 0;
  #heardAt = 0;
  #retry: NodeJS.Timeout | undefined;
  #draining: Promise<void> | undefined;
  /** The next message does not fit a pull's byte budget: it is asked for alone, without one. */
  #isNextLarge = false;
  #isStopped = false;
  #caughtUpAt: number | undefined;
  #resolveCaughtUp: () => void;

  constructor(nats: Nats, connection: NatsConnection, options: ReaderOptions) {
    this.#nats = nats;
    this.#connection = connection;
    this.#inbox = newInbox(this.#nats);
    this.#options = options;
    this.#maxPullBytes = Math.floor(Math.max(options.maxBytesInFlight ?? 8 * 1024 * 1024, MIN_BYTES_IN_FLIGHT) / SLOTS);
    this.#start = options.from;
    if (typeof options.from === "object" && "seq" in options.from) this.#handled = this.#received = Math.max(0, options.from.seq - 1);
    const caughtUp = Promise.withResolvers<void>();
    this.caughtUp = caughtUp.promise;
    this.#resolveCaughtUp = caughtUp.resolve;
  }

  position(): number {
    return this.#handled;
  }

  begin(): void {
    for (const slot of this.#slots) {
      const sub = this.#connection.subscribe(`${this.#inbox}.${slot.index}.*`, {
        callback: (error, msg) => {
          if (!error) this.#receive(slot, msg);
        },
      });
      this.#closers.push(() => sub.unsubscribe());
    }
    this.#closers.push(
      this.#nats.onStatus((event) => {
        if (event === "reconnect") this.#restart("reconnected", 0);
      }),
    );
    const watchdog = setInterval(() => {
      if (this.#consumer === "" || this.#slots.every((slot) => slot.owed === 0)) return;
      if (performance.now() - this.#heardAt > SILENCE_MS) this.#restart("no heartbeat");
    }, HEARTBEAT_MS);
    watchdog.unref();
    this.#closers.push(() => clearInterval(watchdog));
    void this.#createConsumer();
  }

  async stop(): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      clearTimeout(this.#retry);
      if (!this.#nats.closed) for (const close of this.#closers) close();
      if (this.#consumer !== "" && this.#nats.connected()) {
        // Best effort: an idle consumer removes itself after IDLE_CONSUMER_LIVES_MS.
        this.#connection.publish(`$JS.API.CONSUMER.DELETE.${this.#options.stream}.${this.#consumer}`);
      }
      this.#queue.length = 0;
      this.#resolveCaughtUp();
    }
    await this.#draining;
  }

  async #createConsumer(): Promise<void> {
    const generation = ++this.#generation;
    const { stream, subject } = this.#options;
    try {
      const start = await this.#startPolicy();
      if (generation !== this.#generation || this.#isStopped) return;
      const name = `r_${randomId()}`;
      const config = {
        ...start,
        name,
        ack_policy: "none",
        replay_policy: "instant",
        max_deliver: 1,
        mem_storage: true,
        num_replicas: 1,
        inactive_threshold: IDLE_CONSUMER_LIVES_MS * 1e6,
        ...(subject === undefined ? {} : { filter_subject: subject }),
      };
      const api = `$JS.API.CONSUMER.CREATE.${stream}.${name}${subject === undefined ? "" : `.${subject}`}`;
      const answer = await this.#connection.request(api, JSON.stringify({ stream_name: stream, config, action: "create" }), {
        timeout: 5_000,
      });
      const created = answer.json<{ error?: { err_code?: number; description?: string }; num_pending?: number }>();
      if (generation !== this.#generation || this.#isStopped) return;
      if (created.error) throw new Error(`consumer refused: ${created.error.description} (${created.error.err_code})`);
      this.#consumer = name;
      this.#consumerSeq = 0;
      this.#healthySince = this.#heardAt = performance.now();
      for (const slot of this.#slots) slot.owed = 0;
      this.#isNextLarge = false;
      if ((created.num_pending ?? 0) === 0) this.#markCaughtUpAt(this.#received);
      this.#pull();
    } catch (error) {
      if (generation !== this.#generation || this.#isStopped) return;
      this.#options.log?.warn({ err: error, stream }, "reader.consumer_failed");
      this.#restart("create failed");
    }
  }

  /** Where the next consumer starts; tells a gap when the stream no longer holds that place. */
  async #startPolicy(): Promise<Record<string, unknown>> {
    const { stream } = this.#options;
    if (this.#received === 0 && this.#start === "new") {
      // Fixed to a sequence now, so that a lost consumer loses nothing.
      const state = await streamState(this.#nats, stream);
      this.#start = { seq: state.lastSeq + 1 };
      this.#received = this.#handled = state.lastSeq;
    }
    if (this.#received === 0 && this.#start === "last") return { deliver_policy: "last" };
    if (this.#received === 0 && typeof this.#start === "object" && "timeMs" in this.#start) {
      return { deliver_policy: "by_start_time", opt_start_time: new Date(this.#start.timeMs).toISOString() };
    }
    if (this.#received === 0 && this.#start === "all") return { deliver_policy: "all" };
    const state = await streamState(this.#nats, stream);
    const wanted = this.#received + 1;
    if (state.lastSeq < this.#received) {
      // The stream was made anew or restored from an older copy: its numbers no longer mean what ours mean.
      throw new StreamMissing(`stream ${stream} ends at ${state.lastSeq}, before our position ${this.#received}`);
    }
    if (state.firstSeq > wanted) {
      this.#options.onGap?.({ from: wanted, to: state.firstSeq - 1 });
      this.#received = state.firstSeq - 1;
      if (this.#queue.length === 0) this.#handled = this.#received;
    }
    return { deliver_policy: "by_start_sequence", opt_start_seq: this.#received + 1 };
  }

  #restart(reason: string, firstDelayMs?: number): void {
    if (this.#isStopped) return;
    this.#generation++;
    this.#consumer = "";
    if (performance.now() - this.#healthySince > HEALTHY_MS) this.#failures = 0;
    // First retry soon (a restarted broker is back in a fraction of a second), then 1 to 30 s.
    const steps = [100, 250, 500];
    const base = firstDelayMs ?? steps[this.#failures] ?? Math.min(30_000, 1_000 * 2 ** (this.#failures - steps.length));
    this.#failures++;
    this.#options.log?.debug({ stream: this.#options.stream, reason, delayMs: base }, "reader.restart");
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.#createConsumer(), base * (0.8 + Math.random() * 0.4));
  }

  #pull(): void {
    if (this.#consumer === "" || this.#queue.length > 0 || this.#isStopped || !this.#nats.connected()) return;
    if (this.#isNextLarge) {
      const [slot] = this.#slots;
      if (slot === undefined || this.#slots.some((other) => other.owed > 0)) return;
      this.#isNextLarge = false;
      return this.#ask(slot, { batch: 1 });
    }
    for (const slot of this.#slots) if (slot.owed === 0) this.#ask(slot, { batch: PULL_MESSAGES, max_bytes: this.#maxPullBytes });
  }

  #ask(slot: Slot, limits: { batch: number; max_bytes?: number }): void {
    slot.pull++;
    slot.owed = limits.batch;
    slot.isFresh = limits.max_bytes !== undefined;
    this.#connection.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${this.#options.stream}.${this.#consumer}`,
      JSON.stringify({ ...limits, expires: PULL_EXPIRES_MS * 1e6, idle_heartbeat: HEARTBEAT_MS * 1e6 }),
      { reply: `${this.#inbox}.${slot.index}.${slot.pull}` },
    );
  }

  #receive(slot: Slot, msg: ClientMsg): void {
    if (this.#isStopped) return;
    this.#heardAt = performance.now();
    const status = msg.headers?.code ?? 0;
    if (msg.reply === undefined || (status !== 0 && msg.data.length === 0 && !msg.reply.startsWith("$JS.ACK"))) {
      return this.#receiveStatus(slot, msg, status);
    }
    const delivery = parseDelivery(msg.reply);
    if (!delivery || delivery.consumer !== this.#consumer) return; // of a consumer given up before
    if (delivery.consumerSeq !== this.#consumerSeq + 1) return this.#restart("missed a message", 0);
    this.#consumerSeq = delivery.consumerSeq;
    if (this.#options.subject === undefined && delivery.streamSeq > this.#received + 1 && this.#received > 0) {
      this.#options.onGap?.({ from: this.#received + 1, to: delivery.streamSeq - 1 });
    }
    this.#received = delivery.streamSeq;
    if (slot.owed > 0) slot.owed--;
    slot.isFresh = false;
    if (delivery.pending === 0) this.#markCaughtUpAt(delivery.streamSeq);
    const headers: MsgHdrs | undefined = msg.headers;
    const message: ReadMessage = {
      seq: delivery.streamSeq,
      subject: msg.subject,
      data: msg.data,
      timeMs: delivery.timeMs,
      pending: delivery.pending,
      header: (name) => (headers ?? emptyHeaders()).get(name) || undefined,
    };
    if (this.#draining || this.#queue.length > 0) this.#queue.push(message);
    else this.#handle(message);
    if (slot.owed === 0) this.#pull();
  }

  #receiveStatus(slot: Slot, msg: ClientMsg, status: number): void {
    if (this.#consumer === "" || msg.subject !== `${this.#inbox}.${slot.index}.${slot.pull}`) return;
    if (status === 100) return; // heartbeat
    slot.owed = 0;
    const description = msg.headers?.description ?? "";
    // A budget that is used up says the same; only one that nothing came out of is too small for the message.
    if (slot.isFresh && /exceeds maxbytes/i.test(description)) this.#isNextLarge = true;
    if (status === 408 || status === 404 || (status === 409 && /batch completed|maxbytes|leadership/i.test(description)))
      return this.#pull();
    this.#restart(`${status} ${description}`);
  }

  /** Runs the callback; when it answers with a promise, later messages wait in the queue and no new pull goes out. */
  #handle(message: ReadMessage): void {
    let result: void | Promise<void>;
    try {
      result = this.#options.onMessage(message);
    } catch (error) {
      return this.#fail(error);
    }
    if (result instanceof Promise) this.#draining = this.#drain(message, result);
    else this.#advance(message.seq);
  }

  async #drain(first: ReadMessage, running: Promise<void>): Promise<void> {
    try {
      await running;
      this.#advance(first.seq);
      for (let next = this.#queue.shift(); next && !this.#isStopped; next = this.#queue.shift()) {
        await this.#options.onMessage(next);
        this.#advance(next.seq);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#draining = undefined;
      this.#pull();
    }
  }

  #advance(seq: number): void {
    this.#handled = seq;
    if (this.#caughtUpAt !== undefined && seq >= this.#caughtUpAt) this.#resolveCaughtUp();
  }

  #markCaughtUpAt(seq: number): void {
    this.#caughtUpAt ??= seq;
    if (this.#handled >= this.#caughtUpAt) this.#resolveCaughtUp();
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return;
    this.#options.log?.error({ err: error, stream: this.#options.stream }, "reader.handler_failed");
    void this.stop();
    this.#options.onError?.(error);
  }
}
