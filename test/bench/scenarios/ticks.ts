/**
 * Automatic analyses: 1,000 topics at 10 s with a stub provider. How late the provider is asked after the tick (the service's own histogram of
 * it), whether every topic was analysed in every interval and told to its socket; the same for topics whose listeners all come at the same
 * moment: their first wave, and what is left of it afterwards.
 */
import { WebSocket } from "ws";
import { createFeedsAccount, type FeedsAccount } from "../../support/feeds-account.ts";
import { CpuMeter } from "../../support/process-stats.ts";
import { type Product, startProduct } from "../../support/product.ts";
import { type Role, startRole } from "../../support/role.ts";
import type { TicksWorld } from "../load/ticks-role.ts";
import type { BenchContext } from "../support/context.ts";
import type { Row } from "../support/report.ts";

const FEEDS = 10;
const TOPICS_PER_FEED = 100;
const TOPICS = FEEDS * TOPICS_PER_FEED;
const INTERVAL_MS = 10_000;
const LEAST_SECONDS = 30;
const MOST_DRIFT_P99_MS = 100;
const WORLD: TicksWorld = { topicsPerFeed: TOPICS_PER_FEED, messageEveryMs: 4_000, answerAfterMs: 200 };
const RAISED = {
  LLM_MAX_CONCURRENCY: "256",
  LLM_TENANT_CONCURRENCY: "256 (one account owns all feeds)",
  plan: "custom",
  RATE_LIMIT_PER_SECOND: "1,000 (to create the feeds)",
};

export async function ticksScenario(context: BenchContext): Promise<Row[]> {
  const world = await startRole("world", new URL("../load/ticks-role.ts", import.meta.url), { isFirst: true });
  let product: Product | undefined;
  try {
    const ports = await world.ask<{ upstreamPort: number; providerPort: number }>("listen", WORLD);
    product = await startProduct({
      env: {
        UPSTREAM_ALLOWED_HOSTS: `127.0.0.1:${ports.upstreamPort}`,
        RATE_LIMIT_PER_SECOND: "1000",
        RATE_LIMIT_BURST: "1000",
        OPENAI_API_KEY: "bench",
        OPENAI_BASE_URL: `http://127.0.0.1:${ports.providerPort}/v1`,
        LLM_QUERY_INTERVAL_SECONDS: String(INTERVAL_MS / 1_000),
        LLM_MAX_CONCURRENCY: "256",
        LLM_TENANT_CONCURRENCY: "256",
      },
    });
    const account = await createFeedsAccount(product, "bench");
    const feedIds = await createFeeds(account, `ws://127.0.0.1:${ports.upstreamPort}`);
    const rows: Row[] = [];
    for (const isAtOnce of [false, true]) {
      const name = isAtOnce ? "all begin at the same moment" : "they begin over one interval";
      if (!name.includes(context.only)) continue;
      rows.push(...(await measure({ context, product, world, account, feedIds, isAtOnce, name })));
    }
    return rows;
  } finally {
    await product?.stop();
    await world.stop();
  }
}

interface Measured {
  context: BenchContext;
  product: Product;
  world: Role;
  account: FeedsAccount;
  feedIds: readonly string[];
  isAtOnce: boolean;
  name: string;
}

async function measure(measured: Measured): Promise<Row[]> {
  const { context, product, account, feedIds, isAtOnce, name } = measured;
  const seconds = Math.max(context.seconds, LEAST_SECONDS);
  const listeners = await Promise.all(feedIds.map((feedId) => listen(product, account, feedId)));
  try {
    await begin(listeners, isAtOnce ? 0 : INTERVAL_MS / TOPICS_PER_FEED);
    await waitFor("all loops run", async () => (await metrics(product)).loops === TOPICS);
    // The first run of each comes after 1.5 s; one interval more, and all are in their rhythm.
    const warmUpSeconds = INTERVAL_MS / 1_000 + 3;
    const rows: Row[] = [];
    if (isAtOnce) rows.push(await observe(measured, listeners, warmUpSeconds, `${name}: the first ${warmUpSeconds} s`));
    else await pause(warmUpSeconds * 1_000);
    rows.push(await observe(measured, listeners, seconds, isAtOnce ? `${name}: from then on` : name, MOST_DRIFT_P99_MS));
    return rows;
  } finally {
    for (const { socket } of listeners) socket.close();
    await waitFor("no loop is left", async () => (await metrics(product)).loops === 0);
  }
}

/** @param mostMs the target; absent: it only informs. */
async function observe(
  { context, product, world }: Measured,
  listeners: readonly Listener[],
  seconds: number,
  name: string,
  mostMs?: number,
): Promise<Row> {
  const before = await metrics(product);
  const callsBefore = await world.ask<number>("calls");
  const heardBefore = heard(listeners);
  const meter = new CpuMeter(() => product.pids());
  await pause(seconds * 1_000);
  const { processes } = meter.stop();
  const after = await metrics(product);
  const calls = (await world.ask<number>("calls")) - callsBefore;
  const drift = difference(after.drift, before.drift);
  const p99 = quantile(drift, 0.99);
  const due = (seconds * 1_000 * TOPICS) / INTERVAL_MS;
  const skipped = Object.fromEntries(Object.entries(after.skipped).map(([reason, n]) => [reason, n - (before.skipped[reason] ?? 0)]));
  context.log(`ticks, ${name}: p99 ${p99.toFixed(1)} ms, ${calls} calls of ${due}, ${JSON.stringify(skipped)}`);
  return {
    scenario: `ticks, ${TOPICS} topics at ${INTERVAL_MS / 1_000} s, ${name}`,
    unit: "ms p99 drift",
    value: p99,
    ...(mostMs === undefined ? { target: "informs" } : { target: `≤ ${mostMs} ms`, pass: p99 <= mostMs && calls >= 0.98 * due }),
    processes,
    warnings: calls < 0.98 * due ? [`only ${calls} of ${due} analyses`] : [],
    details: {
      p50: quantile(drift, 0.5),
      p90: quantile(drift, 0.9),
      p999: quantile(drift, 0.999),
      drift,
      calls,
      due,
      heard: heard(listeners) - heardBefore,
      skipped,
      seconds,
      providerAnswersAfterMs: WORLD.answerAfterMs,
      limitsRaised: RAISED,
    },
  };
}

async function createFeeds(account: FeedsAccount, upstreamUrl: string): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < FEEDS; i++) {
    const body = { name: `ticks ${i}`, url: `${upstreamUrl}/${i}`, connectionType: "websocket", enableTopicRouting: true, topicField: "s" };
    ids.push((await account.api<{ data: { _id: string } }>("POST", "/api/marketplace/feeds", body)).data._id);
  }
  return ids;
}

interface Listener {
  socket: WebSocket;
  feedId: string;
  /** `llm-intelligence` frames. */
  answers: number;
}

const heard = (listeners: readonly Listener[]): number => listeners.reduce((sum, { answers }) => sum + answers, 0);

async function listen(product: Product, account: FeedsAccount, feedId: string): Promise<Listener> {
  const socket = new WebSocket(`ws://${product.host}:${product.servicePort("edge-0")}/ws`, { perMessageDeflate: false });
  const listener: Listener = { socket, feedId, answers: 0 };
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.on("message", (data: Buffer) => {
      const text = data.toString("latin1", 0, 40);
      if (text.startsWith('{"type":"llm-intelligence"')) listener.answers++;
      else if (text.startsWith('{"type":"authenticated"')) resolve();
      else if (text.startsWith('{"type":"auth')) reject(new Error(data.toString()));
    });
    socket.once("open", () => socket.send(JSON.stringify({ type: "authenticate", payload: { apiKey: account.apiKey } })));
  });
  return listener;
}

/** Topic by topic, all sockets together. */
async function begin(listeners: readonly Listener[], everyMs: number): Promise<void> {
  for (let i = 0; i < TOPICS_PER_FEED; i++) {
    for (const { socket, feedId } of listeners)
      socket.send(JSON.stringify({ type: "subscribe-topic", payload: { feedId, topic: `T${i}` } }));
    if (everyMs > 0) await pause(everyMs);
  }
}

interface Metrics {
  loops: number;
  skipped: Record<string, number>;
  /** Upper bound, ms → observations up to it. */
  drift: [number, number][];
}

async function metrics(product: Product): Promise<Metrics> {
  const answer = await fetch(`http://127.0.0.1:${product.run.adminPorts["intelligence-0"]}/metrics`);
  const text = await answer.text();
  const value = (line: RegExp): number => Number(line.exec(text)?.[1] ?? Number.NaN);
  const drift = [...text.matchAll(/^headwater_auto_tick_drift_seconds_bucket\{[^}]*le="([^"]+)"[^}]*\} (\d+)/gm)].map(
    ([, bound, count]): [number, number] => [bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound) * 1_000, Number(count)],
  );
  const skipped = [...text.matchAll(/^headwater_auto_skipped_total\{[^}]*reason="([^"]+)"[^}]*\} (\d+)/gm)].map(
    ([, reason = "", count]) => [reason, Number(count)],
  );
  return { loops: value(/^headwater_auto_loops\{[^}]*\} (\d+)/m), drift, skipped: Object.fromEntries(skipped) as Record<string, number> };
}

const difference = (after: readonly [number, number][], before: readonly [number, number][]): [number, number][] =>
  after.map(([bound, count], i) => [bound, count - (before[i]?.[1] ?? 0)]);

/** Within its bucket by interpolation; Infinity above the last bound. */
function quantile(buckets: readonly [number, number][], share: number): number {
  const rank = (buckets.at(-1)?.[1] ?? 0) * share;
  let [fromBound, fromCount] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= rank && count > fromCount) return fromBound + ((bound - fromBound) * (rank - fromCount)) / (count - fromCount);
    [fromBound, fromCount] = [bound, count];
  }
  return Number.NaN;
}

async function waitFor(what: string, condition: () => Promise<boolean>, withinMs = 60_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`did not happen within ${withinMs} ms: ${what}`);
    await pause(100);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
