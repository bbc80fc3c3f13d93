/**
 * SIGKILL of ingest, routing, auth and edge while 50 upstream feeds run. What reached the log reaches every subscriber that follows the cursor
 * rules exactly once; upstreams are connected again exactly once, and only when the process that holds them died; subscriptions at rest stay.
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planFeeds } from "../support/feed-plan.ts";
import { createFeedsAccount, createPlannedFeeds, type FeedsAccount } from "../support/feeds-account.ts";
import { nowUs } from "../support/monotonic.ts";
import { type Product, startProduct } from "../support/product.ts";
import { type Role, startRole } from "../support/role.ts";
import type { UpstreamConnectionFact, UpstreamSent } from "../support/upstream-role.ts";
import { busyFactor } from "./support/bar.ts";
import { deliveriesDue, judgeConnections, judgeFeeds, type LoggedMessage } from "./support/feed-checker.ts";
import { readFeedLog } from "./support/feed-log.ts";
import type { FeedSinkOptions, FeedSinkState, FeedSubscription } from "./support/feed-sink-role.ts";
import { killNow, replaced } from "./support/kill.ts";
import { reportFault } from "./support/result.ts";
import { faultSettings } from "./support/settings.ts";
import { compareWithRefold } from "./support/state.ts";

const settings = faultSettings(process.env);
const PLAN = { feeds: 50, plainEvery: 5 };
/** Messages a second over all feeds. */
const RATE = Math.min(settings.rate, 500);
const CLIENTS = 4;
const RECONNECT_MS = 8_000;
const feeds = planFeeds(PLAN.feeds, PLAN.plainEvery);

let upstream: Role;
let product: Product;
let account: FeedsAccount;

beforeAll(async () => {
  upstream = await startRole("upstream", new URL("../support/upstream-role.ts", import.meta.url), { isFirst: true });
  const port = await upstream.ask<number>("listen", PLAN);
  product = await startProduct({
    env: { UPSTREAM_ALLOWED_HOSTS: `127.0.0.1:${port}`, RATE_LIMIT_PER_SECOND: "1000", RATE_LIMIT_BURST: "1000" },
  });
  account = await createFeedsAccount(product, "fault");
  await createPlannedFeeds(account, feeds, `ws://127.0.0.1:${port}`);
  await upstream.ask("connected", { withinMs: 30_000 });
});
afterAll(async () => {
  await product?.stop();
  await upstream?.stop();
});

interface Row {
  row: string;
  target: string;
  /** New connections of every feed after a kill. */
  reconnects: 0 | 1;
}

const ROWS: Row[] = [
  { row: "feeds: kill -9 ingest", target: "ingest-0", reconnects: 1 },
  { row: "feeds: kill -9 routing", target: "routing-0", reconnects: 0 },
  { row: "feeds: kill -9 auth", target: "auth-0", reconnects: 0 },
  { row: "feeds: kill -9 edge", target: "edge-0", reconnects: 0 },
];

describe(`kills under feed load, seed ${settings.seed}`, () => {
  it.each(ROWS)("$row", async ({ row, target, reconnects }) => {
    const run = `k${target}`.replaceAll(/\W/g, "").slice(0, 6).padEnd(6, "_");
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-fault-"));
    const record = path.join(dir, "record.txt");
    const sink = await startRole("sink", new URL("./support/feed-sink-role.ts", import.meta.url));
    try {
      const { subscriptions, keys } = wishes();
      await sink.ask("start", {
        host: product.host,
        port: product.port,
        apiKey: account.apiKey,
        subscriptions,
        record,
      } satisfies FeedSinkOptions);
      await upstream.ask("run", { run, rate: RATE });
      await sink.ask("heard", { withinMs: 90_000 });
      const before = await subscribedFeeds();
      const kills: { atUs: number; recoveryMs: number; reconnectMs: number }[] = [];
      const wrong: string[] = [];
      for (let kill = 0; kill < settings.kills; kill++) {
        await upstream.ask("more", { messages: Math.round(RATE * (0.2 + settings.random() * 1.5)) });
        const { pid, atUs } = killNow(product, target);
        await replaced(product, target, pid, 60_000);
        await upstream.ask("connected", { withinMs: 60_000 });
        const recoveryMs = ((await sink.ask<number>("flowing", { withinMs: 90_000 })) - atUs) / 1000;
        // Long enough for a second connection to show itself.
        await upstream.ask("more", { messages: 2 * RATE });
        const facts = await upstream.ask<UpstreamConnectionFact[]>("connections");
        const verdict = judgeConnections(facts, PLAN.feeds, { faultUs: atUs, untilUs: nowUs(), expected: reconnects });
        wrong.push(...verdict.notOnce, ...verdict.doubled.map((feed) => `feed ${feed} had two connections at once`));
        kills.push({ atUs, recoveryMs, reconnectMs: verdict.slowestMs });
        expect(await subscribedFeeds()).toEqual(before);
      }
      const sent = await upstream.ask<UpstreamSent>("stop");
      const log = await wholeLog(run, sent.sent);
      const due = deliveriesDue(log, keys);
      await sink.ask("caughtUp", { deliveries: due, quietMs: 20_000 });
      const state = await sink.ask<FeedSinkState>("state");
      await sink.ask("stop");
      const verdict = judgeFeeds(log, fs.readFileSync(record, "utf8"), keys);
      const refold = await compareWithRefold(product, "feeds");
      reportFault(settings, {
        row,
        kills: kills.length,
        acked: log.length,
        recoveryMs: kills.map(({ recoveryMs }) => recoveryMs),
        longestDelayMs: verdict.longestDelayMs,
        notes: {
          rate: RATE,
          sent: sent.sent,
          withoutConnection: sent.unsent.length,
          logged: log.length,
          delivered: verdict.delivered,
          allConnectedAgainMs: kills.map(({ reconnectMs }) => Math.round(reconnectMs)),
          reconnects: state.reconnects,
          errors: state.errors,
          busyFactor: Number(busyFactor().toFixed(1)),
          refold,
        },
      });
      expect(wrong).toEqual([]);
      expect({ ...verdict, logged: 0, delivered: 0, longestDelayMs: 0 }).toEqual({
        logged: 0,
        delivered: 0,
        longestDelayMs: 0,
        storedTwice: [],
        lost: [],
        duplicated: [],
        phantom: [],
        reordered: [],
        gaps: [],
      });
      expect(verdict.delivered).toBe(due);
      expect(refold.broken).toEqual([]);
      expect(Math.max(...kills.map(({ reconnectMs }) => reconnectMs))).toBeLessThanOrEqual(RECONNECT_MS * busyFactor());
      // Only what ingest could not read is missing from the log; nobody else may cost a message.
      if (reconnects === 0) expect(log.length).toBe(sent.sent);
    } finally {
      await sink.stop();
      fs.rmSync(dir, { recursive: true, force: true });
    }
  });
});

/** Half of the plain feeds and two frequent topics of each routed feed, spread over the clients; the other feeds run for nobody. */
function wishes(): { subscriptions: FeedSubscription[][]; keys: Set<string>[] } {
  const subscriptions = Array.from({ length: CLIENTS }, (): FeedSubscription[] => []);
  const keys = subscriptions.map(() => new Set<string>());
  for (const feed of feeds) {
    const feedId = account.feedIds[feed.index] ?? "";
    const client = feed.index % CLIENTS;
    if (!feed.isRouted) {
      if (feed.index % 2 === 0) continue;
      subscriptions[client]?.push({ feedId });
      keys[client]?.add(`${feed.index}`);
      continue;
    }
    for (const topic of [0, 1]) {
      const name = feed.topics[topic];
      if (name === undefined) continue;
      subscriptions[client]?.push({ feedId, topic: name });
      keys[client]?.add(`${feed.index}.${topic}`);
    }
  }
  return { subscriptions, keys };
}

/** Ids of the feeds with a subscription at rest; asked again while the services behind the front come back. */
async function subscribedFeeds(): Promise<string[]> {
  const asked = async (): Promise<string[] | undefined> => {
    try {
      const answer = await account.api<{ data: { feedId: string; isActive: boolean }[] }>("GET", "/api/marketplace/subscriptions");
      return answer.data.flatMap(({ feedId, isActive }) => (isActive ? [feedId] : [])).toSorted();
    } catch (error) {
      lastRefusal = error;
      return undefined;
    }
  };
  let lastRefusal: unknown;
  let found: string[] | undefined;
  await until("a list of subscriptions", async () => (found = await asked()) !== undefined, 60_000).catch((error: unknown) => {
    throw new Error(String(lastRefusal), { cause: error });
  });
  return found ?? [];
}

/** The log once it holds the newest message of every feed: upstream, connection and log keep a feed's order, so the rest is before it. */
async function wholeLog(run: string, sent: number): Promise<LoggedMessage[]> {
  let log: LoggedMessage[] = [];
  await until(
    "the newest message of every feed in the log",
    async () => {
      log = await readFeedLog(product, run);
      const ids = new Set(log.map(({ id }) => id));
      return feeds.every((_, i) => ids.has(`${run}.${sent - 1 - i}.${(sent - 1 - i) % PLAN.feeds}`));
    },
    60_000,
  );
  return log;
}
