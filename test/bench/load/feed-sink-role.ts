/**
 * The sink of feed runs: sockets with their own subscriptions that read the id of every message. What each of them must get follows from the
 * plan, so a lost, repeated or foreign message is found per socket and id. One more socket can be opened that only reads or stops reading.
 */
import { type MessageId, messageAt, type PlannedFeed, planFeeds, readMessageId, subscriptionKey } from "../../support/feed-plan.ts";
import { nowUs } from "../../support/monotonic.ts";
import { serveRole } from "../../support/role.ts";
import type { UpstreamPlan } from "../../support/upstream-role.ts";
import { connectWs, type WsClient } from "../../support/ws-client.ts";
import { Latency } from "../support/latency.ts";
import type { Percentiles } from "../support/report.ts";

export interface FeedSocketPlan {
  /** Sent after the handshake, in order. */
  greetings: string[];
  /** Messages without an id that hold `replyMarker`: then the socket is ready. */
  replies: number;
  /** Keys of feed-plan.ts that it listens to. */
  keys: string[];
}

export interface FeedSinkOptions {
  host: string;
  port: number;
  path: string;
  replyMarker: string;
  plan: UpstreamPlan;
  sockets: FeedSocketPlan[];
}

export interface FeedSinkResult {
  expected: number;
  delivered: number;
  lost: number;
  duplicates: number;
  /** Messages at sockets that did not ask for them. */
  foreign: number;
  latency: Percentiles;
  closed: string[];
  /** First of the lost ones, for the reader of a bad run. */
  examples: string[];
}

interface Reader {
  ws: WsClient;
  bits: Uint8Array;
  keys: ReadonlySet<string>;
}

let feeds: PlannedFeed[] = [];
let readers: Reader[] = [];
let extra: WsClient | undefined;
let latency = new Latency();
let run = "";
let measureFromUs = Number.POSITIVE_INFINITY;
let delivered = 0;
let duplicates = 0;
let foreign = 0;
let closed: string[] = [];

serveRole({
  open: async (options: FeedSinkOptions): Promise<void> => {
    feeds = planFeeds(options.plan.feeds, options.plan.plainEvery);
    for (const plan of options.sockets) {
      const reader: Reader = { ws: nobody, bits: new Uint8Array(0), keys: new Set(plan.keys) };
      reader.ws = await connect(options, plan, (id) => received(reader, id));
      readers.push(reader);
    }
  },
  /** Opens one more socket that counts for nothing; a stalled one never reads again once it is subscribed. */
  extra: async (options: FeedSinkOptions & { isStalled: boolean }): Promise<void> => {
    const [plan] = options.sockets;
    if (!plan) throw new Error("the extra socket has no plan");
    extra = await connect(options, plan, () => undefined);
    if (options.isStalled) extra.pause();
  },
  closeExtra: (): void => {
    extra?.terminate();
    extra = undefined;
  },
  /** Forgets everything seen so far; ids of other runs are ignored from now on. */
  begin: (options: { run: string; maxMessages: number; measureFromUs: number }): void => {
    ({ run, measureFromUs } = options);
    latency = new Latency();
    [delivered, duplicates, foreign, closed] = [0, 0, 0, []];
    for (const reader of readers) reader.bits = new Uint8Array((options.maxMessages >> 3) + 1);
  },
  /** Waits until everything has come or nothing has for `quietMs`. */
  finish: async ({ sent, unsent, quietMs }: { sent: number; unsent: number[]; quietMs: number }): Promise<FeedSinkResult> => {
    const due = dueOf(sent, new Set(unsent));
    const expected = due.reduce((sum, list) => sum + list.length, 0);
    let [before, quietSince] = [-1, nowUs()];
    while (delivered < expected && nowUs() - quietSince < quietMs * 1000) {
      if (delivered !== before) [before, quietSince] = [delivered, nowUs()];
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const missing = readers.flatMap(({ bits }, socket) =>
      (due[socket] ?? []).filter((n) => !has(bits, n)).map((n) => `socket ${socket}: ${n}`),
    );
    const result = { expected, delivered, lost: missing.length, duplicates, foreign, latency: latency.percentiles(), closed };
    return { ...result, examples: missing.slice(0, 5) };
  },
  close: (): void => {
    for (const { ws } of readers) ws.terminate();
    readers = [];
  },
});

const nobody: WsClient = {
  send: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  readOnce: () => undefined,
  close: () => undefined,
  terminate: () => undefined,
  bytesRead: 0,
};

/** Resolves when all replies are there. */
function connect(options: FeedSinkOptions, plan: FeedSocketPlan, onId: (id: MessageId) => void): Promise<WsClient> {
  return new Promise((resolve, reject) => {
    let replies = 0;
    const last: string[] = [];
    const late = setTimeout(() => reject(new Error(`not subscribed in time, ${replies} replies: ${last.join(" ")}`)), 20_000);
    const client = connectWs(options, {
      onOpen: () => {
        for (const text of plan.greetings) client.send(text);
      },
      onMessage: (payload) => {
        const id = readMessageId(payload);
        if (id) return onId(id);
        const text = payload.toString();
        if (last.length < 5) last.push(text);
        if (!text.includes(options.replyMarker) || ++replies !== plan.replies) return;
        clearTimeout(late);
        resolve(client);
      },
      onClose: (code, reason) => {
        closed.push(`${code} ${reason}`);
        reject(new Error(`closed with ${code} ${reason}: ${last.join(" ")}`));
      },
    });
  });
}

function received(reader: Reader, id: MessageId): void {
  if (id.run !== run) return;
  if (!reader.keys.has(subscriptionKey(id.feed)) && !reader.keys.has(subscriptionKey(id.feed, id.topic))) {
    foreign++;
    return;
  }
  if (has(reader.bits, id.n)) {
    duplicates++;
    return;
  }
  reader.bits[id.n >> 3] = (reader.bits[id.n >> 3] ?? 0) | (1 << (id.n & 7));
  delivered++;
  if (id.dueUs >= measureFromUs) latency.recordUs(nowUs() - id.dueUs);
}

function has(bits: Uint8Array, n: number): boolean {
  return ((bits[n >> 3] ?? 0) & (1 << (n & 7))) !== 0;
}

/** Messages that each socket must get. */
function dueOf(sent: number, unsent: ReadonlySet<number>): number[][] {
  const due = readers.map((): number[] => []);
  const byKey = new Map<string, number[]>();
  for (const [socket, { keys }] of readers.entries()) for (const key of keys) byKey.set(key, [...(byKey.get(key) ?? []), socket]);
  for (let n = 0; n < sent; n++) {
    if (unsent.has(n)) continue;
    const { feed, template } = messageAt(feeds, n);
    for (const key of [subscriptionKey(feed.index), subscriptionKey(feed.index, template.topic)])
      for (const socket of byKey.get(key) ?? []) due[socket]?.push(n);
  }
  return due;
}
