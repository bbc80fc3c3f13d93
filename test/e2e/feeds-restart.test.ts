/**
 * Every service, one process each, killed and stopped while a feed streams: bookmarks stay, the upstream is never connected twice at once, and a
 * subscriber that comes back with its cursors has every message once and in order.
 */
import { startUpstream, until, type UpstreamServer } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Account, type FeedsSystem, isObject, startFeedsSystem } from "./support/feeds-system.ts";
import { openSocket, type Socket } from "./support/socket.ts";

const PATH = "/ticks";
const TOPICS = ["A", "B"] as const;
const TICK_MS = 10;
/** What may be on its way to an ingest that ends: nobody but the upstream could send it again. */
const MOST_IN_FLIGHT = 100;

let upstream: UpstreamServer;
let feeds: FeedsSystem;
let owner: Account;
let feedId: string;
let subscriber: Subscriber;
let clock: NodeJS.Timeout | undefined;
/** Ticks sent so far, numbered from 1: odd ones to A, even ones to B. Only while somebody listens. */
let sent = 0;

beforeAll(async () => {
  upstream = await startUpstream({ behaviour: { afterMessages: 1 } });
  feeds = await startFeedsSystem(upstream, { args: ["--per-service"], env: { EDGE_DRAIN_SPREAD_MS: "100" } });
  owner = await feeds.register("ann");
  feedId = await owner.createFeed({
    name: "ticks",
    url: upstream.url + PATH,
    connectionMessages: ["go"],
    enableTopicRouting: true,
    topicField: "s",
  });
  subscriber = new Subscriber((await owner.createKey("subscriber", ["websocket:topic"])).key);
  await subscriber.connect();
  await until("the upstream is connected", () => upstream.open(PATH)[0]?.messages.length === 1);
  clock = setInterval(tick, TICK_MS);
});
afterAll(async () => {
  clearInterval(clock);
  subscriber?.stop();
  await feeds?.stop();
  await upstream?.stop();
});

function tick(): void {
  if (!upstream.open(PATH).some(({ messages }) => messages.length > 0)) return;
  sent++;
  upstream.send(`{"s":"${TOPICS[(sent - 1) % 2]}","n":${sent}}`, PATH);
}

/** Reads both topics, and after every close goes on from the last cursor of each. */
class Subscriber {
  readonly #key: string;
  readonly #cursors = new Map<string, string>();
  readonly gaps: string[] = [];
  /** Codes its sockets were closed with. */
  readonly closes: number[] = [];
  /** Numbers in the order in which they came, by topic. */
  readonly ticks = new Map<string, number[]>(TOPICS.map((topic) => [topic, []]));
  #socket: Socket | undefined;
  #isStopped = false;
  connections = 0;
  failure: unknown;

  constructor(key: string) {
    this.#key = key;
  }

  /** Ticks before the last one of each topic that did not come. */
  missing(): number[] {
    return TOPICS.flatMap((topic, i) => {
      const numbers = this.ticks.get(topic) ?? [];
      const got = new Set(numbers);
      const due = Array.from({ length: Math.ceil((numbers.at(-1) ?? 0) / 2) }, (_, k) => 2 * k + 1 + i);
      return due.filter((n) => n <= (numbers.at(-1) ?? 0) && !got.has(n));
    });
  }

  get last(): number {
    return Math.max(0, ...[...this.ticks.values()].map((numbers) => numbers.at(-1) ?? 0));
  }

  async connect(): Promise<void> {
    const socket = await openSocket(feeds.wsUrl, (frame) => {
      if (frame.type === "gap") this.gaps.push(frame.text);
      if (frame.type !== "topic-data") return;
      const { topic, data } = frame.payload;
      this.ticks.get(String(topic))?.push(isObject(data) ? Number(data["n"]) : Number.NaN);
      if (frame.cursor === undefined) this.gaps.push(`no cursor: ${frame.text}`);
      else this.#cursors.set(String(topic), frame.cursor);
    });
    this.#socket = socket;
    const [told] = await socket.ask({ type: "authenticate", payload: { apiKey: this.#key } });
    if (told?.type !== "authenticated") throw new Error(`not authenticated: ${told?.text}`);
    this.connections++;
    await socket.ask({ type: "resume", payload: {} });
    for (const topic of TOPICS) {
      const cursor = this.#cursors.get(topic);
      const answer = await socket.answer({ type: "subscribe-topic", payload: { feedId, topic, include: ["data"], cursor } });
      if (answer.type !== "subscription-success") throw new Error(answer.text);
    }
    void socket.closed.then(({ code }) => {
      this.closes.push(code);
      return this.#again();
    });
  }

  async #again(): Promise<void> {
    const isBack = async (): Promise<boolean> => {
      if (this.#isStopped) return true;
      try {
        await this.connect();
        return true;
      } catch (error) {
        // The edge, or what it asks, is not back yet.
        this.failure = error;
        this.#socket?.cut();
        return false;
      }
    };
    await until("the subscriber is back", isBack, 60_000).catch((error: unknown) => {
      this.failure = error;
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#socket?.cut();
  }
}

async function subscriptions(): Promise<unknown> {
  let body: unknown;
  await until("the subscriptions are answered", async () => {
    const answer = await owner.call("GET", "/api/marketplace/subscriptions");
    const { data } = answer.body;
    // What changes with every message is no part of the bookmark.
    body = Array.isArray(data) ? data.map(({ feed: _feed, ...bookmark }: Record<string, unknown>) => bookmark) : undefined;
    return answer.status === 200;
  });
  return body;
}

/** Everything sent by now has arrived. */
async function caughtUp(): Promise<void> {
  await until("somebody listens to the upstream", () => upstream.open(PATH).some(({ messages }) => messages.length > 0), 30_000);
  const mark = sent + 10;
  await until("ticks go on", () => sent >= mark, 30_000);
  await until(`tick ${mark} arrives`, () => subscriber.last >= mark, 30_000).catch((error: unknown) => {
    throw new Error(`at ${subscriber.last} of ${sent}; ${String(subscriber.failure)}`, { cause: error });
  });
}

const GROUPS = [["auth", "scoring", "intelligence"], ["ingest"], ["routing"], ["edge"]] as const;

it.each(
  GROUPS.flatMap((services) => (["SIGKILL", "SIGTERM"] as const).map((signal) => ({ names: services.join(", "), services, signal }))),
)(
  "$names $signal: nothing is lost, nothing doubled",
  async ({ services, signal }) => {
    await caughtUp();
    const bookmarks = await subscriptions();
    const before = {
      connections: upstream.connections(PATH).length,
      sockets: subscriber.connections,
      missing: subscriber.missing(),
      closes: subscriber.closes.length,
    };
    await Promise.all(services.map((service) => feeds.restart(`${service}-0`, signal)));
    await caughtUp();

    expect(await subscriptions()).toEqual(bookmarks);
    const isOf = (service: string): number => (services.some((one) => one === service) ? 1 : 0);
    expect(upstream.mostAtOnce(PATH)).toBe(1);
    expect(upstream.connections(PATH).length - before.connections).toBe(isOf("ingest"));
    expect(subscriber.connections - before.sockets).toBe(isOf("edge"));
    // A stop is told to the sockets; after a kill there is nobody to tell it.
    expect(subscriber.closes.slice(before.closes)).toEqual(isOf("edge") ? [signal === "SIGTERM" ? 1001 : 1006] : []);
    expect(subscriber.gaps).toEqual([]);
    // In order, each once.
    for (const numbers of subscriber.ticks.values()) expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    const missing = subscriber.missing().filter((n) => !before.missing.includes(n));
    if (isOf("ingest")) expect(missing.length).toBeLessThan(MOST_IN_FLIGHT);
    else expect(missing).toEqual([]);
  },
  90_000,
);

it("in the end each message came once, and only those on their way to an ingest that ended are missing", async () => {
  await caughtUp();
  const got = [...subscriber.ticks.values()].flat();
  expect(new Set(got).size).toBe(got.length);
  expect(upstream.connections(PATH).length).toBe(3);
  expect(sent - got.length).toBeLessThan(2 * MOST_IN_FLIGHT);
});
