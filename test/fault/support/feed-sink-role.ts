/**
 * Subscribers of `/ws` in a fault run: each follows the cursor rules of docs/feeds.md and nothing else. After a lost connection it comes back
 * and continues every subscription behind the last frame it has of it. Everything it is sent is written down. Shares no code with the product.
 */
import { readMessageId } from "../../support/feed-plan.ts";
import { nowUs } from "../../support/monotonic.ts";
import { serveRole } from "../../support/role.ts";
import { connectWs, type WsClient } from "../../support/ws-client.ts";
import { type AppendFile, openAppend } from "./ledger.ts";

export interface FeedSubscription {
  feedId: string;
  /** Undefined: the whole of a plain feed. */
  topic?: string;
}

export interface FeedSinkOptions {
  host: string;
  port: number;
  apiKey: string;
  /** Of each client. */
  subscriptions: FeedSubscription[][];
  record: string;
}

export interface FeedSinkState {
  open: number;
  reconnects: number;
  closes: Record<string, number>;
  errors: Record<string, number>;
  deliveries: number;
  lastDeliveryUs: number;
  /** Subscriptions that have had no message yet. */
  silent: number;
}

interface Client {
  id: number;
  subscriptions: FeedSubscription[];
  cursors: Map<string, string>;
  ws: WsClient | undefined;
  confirmed: number;
  newestDueUs: number;
  failures: number;
}

interface Frame {
  type: string;
  cursor?: string;
  payload?: { feedId?: string; topic?: string; error?: string };
}

const BACKOFF_MS = 250;
const MOST_BACKOFF_MS = 1_000;
let clients: Client[] = [];
let record: AppendFile | undefined;
let options: FeedSinkOptions | undefined;
let isClosing = false;
const state = { reconnects: 0, deliveries: 0, lastDeliveryUs: 0 };
const closes: Record<string, number> = {};
const errors: Record<string, number> = {};

serveRole({
  /** Resolves when every subscription is confirmed. */
  start: async (given: FeedSinkOptions): Promise<void> => {
    options = given;
    record = openAppend(given.record);
    clients = given.subscriptions.map((subscriptions, id) => {
      return { id, subscriptions, cursors: new Map(), ws: undefined, confirmed: 0, newestDueUs: 0, failures: 0 };
    });
    for (const client of clients) connect(client);
    await until(
      () => clients.every(isReady),
      60_000,
      () => `every subscription: ${JSON.stringify(errors)}`,
    );
  },
  state: (): FeedSinkState => ({
    ...state,
    open: clients.filter(isReady).length,
    closes,
    errors,
    silent: clients.reduce((sum, client) => sum + client.subscriptions.length - client.cursors.size, 0),
  }),
  /** Waits until every subscription has had a message, so that each has a cursor. */
  heard: ({ withinMs }: { withinMs: number }): Promise<void> =>
    until(
      () => clients.every((client) => client.cursors.size === client.subscriptions.length),
      withinMs,
      () => "every subscription heard",
    ),
  /** Waits until every client is subscribed and has a message that was due after this call. @returns µs of the last one. */
  flowing: async ({ withinMs }: { withinMs: number }): Promise<number> => {
    const from = nowUs();
    await until(
      () => clients.every((client) => isReady(client) && client.newestDueUs > from),
      withinMs,
      () => "flowing again",
    );
    return nowUs();
  },
  /** Waits until so many deliveries were written down, or nothing came for `quietMs`. */
  caughtUp: async ({ deliveries, quietMs }: { deliveries: number; quietMs: number }): Promise<void> => {
    const from = nowUs();
    const isQuiet = (): boolean => nowUs() - Math.max(from, state.lastDeliveryUs) > quietMs * 1000;
    await until(
      () => state.deliveries >= deliveries || isQuiet(),
      120_000,
      () => "the end of the backlog",
    );
  },
  stop: (): void => {
    isClosing = true;
    for (const client of clients) client.ws?.terminate();
    record?.close();
  },
});

function connect(client: Client): void {
  const given = options;
  if (!given || isClosing) return;
  client.confirmed = 0;
  let isOver = false;
  const again = (): void => {
    if (isOver || isClosing) return;
    isOver = true;
    client.confirmed = 0;
    state.reconnects++;
    setTimeout(() => connect(client), Math.random() * Math.min(BACKOFF_MS * 2 ** client.failures++, MOST_BACKOFF_MS));
  };
  const say = (type: string, payload: object): void => client.ws?.send(JSON.stringify({ type, payload }));
  client.ws = connectWs(
    { host: given.host, port: given.port, path: "/ws" },
    {
      onOpen: () => {
        say("authenticate", { apiKey: given.apiKey });
      },
      onMessage: (payload) => {
        const frame = read(client, payload);
        if (frame === undefined) return;
        if (frame.type === "authenticated") {
          say("resume", {});
          for (const { feedId, topic } of client.subscriptions) {
            const cursor = client.cursors.get(keyOf(feedId, topic));
            const wish = { feedId, ...(cursor === undefined ? {} : { cursor }) };
            if (topic === undefined) say("subscribe-feed", wish);
            else say("subscribe-topic", { ...wish, topic, include: ["data"] });
          }
        } else if (frame.type === "subscription-success") {
          client.confirmed++;
          if (isReady(client)) client.failures = 0;
        } else if (frame.type === "gap") record?.line(`G ${client.id} ${JSON.stringify(frame.payload)}`);
        else if (frame.payload?.error !== undefined) {
          const what = `${frame.type}: ${frame.payload.error}`;
          errors[what] = (errors[what] ?? 0) + 1;
          // Whatever is not there now may be there after the next attempt.
          client.ws?.terminate();
        }
      },
      onRefused: () => again(),
      onClose: (code) => {
        closes[code] = (closes[code] ?? 0) + 1;
        if (!isClosing) record?.line(`C ${client.id} ${code} ${Math.round(nowUs())}`);
        again();
      },
    },
  );
}

/** @returns a frame without data. */
function read(client: Client, payload: Buffer): Frame | undefined {
  // Frames are JSON objects with a type; anything else must fail loudly.
  const frame = JSON.parse(payload.toString("utf8")) as Frame;
  if (frame.type !== "feed-data" && frame.type !== "topic-data") return frame;
  const id = readMessageId(payload);
  if (!id) return undefined;
  const now = nowUs();
  state.lastDeliveryUs = now;
  state.deliveries++;
  client.newestDueUs = Math.max(client.newestDueUs, id.dueUs);
  record?.line(`E ${client.id} ${id.run}.${id.n}.${id.feed} ${id.topic} ${Math.round(now)}`);
  if (frame.cursor !== undefined) client.cursors.set(keyOf(frame.payload?.feedId ?? "", frame.payload?.topic), frame.cursor);
  return undefined;
}

function keyOf(feedId: string, topic: string | undefined): string {
  return topic === undefined ? feedId : `${feedId}:${topic}`;
}

function isReady(client: Client): boolean {
  return client.confirmed >= client.subscriptions.length;
}

async function until(holds: () => boolean, withinMs: number, what: () => string): Promise<void> {
  const deadline = nowUs() + withinMs * 1000;
  while (!holds()) {
    if (nowUs() > deadline) throw new Error(`not within ${withinMs} ms: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
