/**
 * T9: what feeds lose while a model provider hangs. Pairs of S3 with and without: without, nobody is asked at all; with, the topics of half of the
 * routed feeds are analysed by a provider that takes every question and answers none, and people ask it too.
 */
import { type Role, startRole } from "../../support/role.ts";
import type { ProviderState } from "../load/hanging-provider-role.ts";
import type { BenchContext } from "../support/context.ts";
import { median, ratioOf, type Row } from "../support/report.ts";
import { accounting, medians, text } from "./feeds.ts";
import { type FeedsProduct, RAISED_FEED_LIMITS, startFeedsProduct } from "./feeds-product.ts";
import { type FeedsRunOptions, type FeedsRunResult, runFeeds, startFeedSink } from "./feeds-run.ts";

const PLAN = { feeds: 100, plainEvery: 5 };
const SOCKETS = 100;
const PER_FEED = 50;
/** Not configured: automatic analyses end before they begin. */
const NOBODY = "ollama";
/** Every second one has the hanging provider in the runs with it. */
const HANGING_EVERY = 2;
/** Questions kept open at once. */
const PEOPLE = 20;
const ASK_AGAIN_MS = 1_000;
const SAMPLE_MS = 250;
const CALM_WITHIN_MS = 60_000;
const WARM_UP_SECONDS = 12;
const MOST_LATENCY_RATIO = 1.1;
const LEAST_THROUGHPUT_RATIO = 0.9;
const ENV = {
  LLM_BUILTIN: "off",
  OPENAI_API_KEY: "bench",
  LLM_MAX_CONCURRENCY: "64",
  LLM_TENANT_CONCURRENCY: "64",
  LLM_REQUESTS_PER_MINUTE: "10000",
  LLM_REQUEST_BURST: "1000",
};
const RAISED = {
  ...RAISED_FEED_LIMITS,
  LLM_MAX_CONCURRENCY: ENV.LLM_MAX_CONCURRENCY,
  LLM_TENANT_CONCURRENCY: `${ENV.LLM_TENANT_CONCURRENCY} (one account owns all feeds and asks)`,
  "LLM_REQUESTS_PER_MINUTE, LLM_REQUEST_BURST": "10,000, 1,000",
};

interface Hanging {
  result: FeedsRunResult;
  /** Questions the provider got, and how many it kept waiting at once since all people had asked; 0: never all. */
  calls: number;
  leastOpen: number;
  mostOpen: number;
  /** Answers of people's questions by status, 0: none; most come after the run. */
  answers: Record<number, number>;
}

export async function providerHangsScenario(context: BenchContext): Promise<Row[]> {
  const stop: (() => Promise<void>)[] = [];
  try {
    const sink = await startFeedSink();
    stop.push(() => sink.stop());
    const provider = await startRole("provider", new URL("../load/hanging-provider-role.ts", import.meta.url));
    stop.push(() => provider.stop());
    const port = await provider.ask<number>("listen");
    const product = await startFeedsProduct(PLAN, { ...ENV, OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1` });
    stop.push(() => product.stop());
    const run = (options: Partial<FeedsRunOptions> & { run: string }): Promise<FeedsRunResult> =>
      runFeeds(product, sink, PLAN, { perFeed: PER_FEED, sockets: SOCKETS, warmupSeconds: 5, seconds: context.seconds, ...options });
    for (const feedId of routedFeeds(product)) await setProvider(product, feedId, NOBODY);
    await run({ run: "warmup", warmupSeconds: 0, seconds: WARM_UP_SECONDS });
    const pairs: { hanging: Hanging; without: FeedsRunResult }[] = [];
    for (let pair = 0; pair < context.pairs; pair++) {
      // What grows or cools down over the runs must not count for one side only.
      const isHangingFirst = pair % 2 === 1;
      const first = isHangingFirst ? await whileHanging(product, provider, () => run({ run: `hang_${pair}` })) : undefined;
      const without = await run({ run: `calm_${pair}` });
      const hanging = first ?? (await whileHanging(product, provider, () => run({ run: `hang_${pair}` })));
      pairs.push({ hanging, without });
      const { calls, leastOpen, mostOpen, answers } = hanging;
      context.log(
        `T9: ${text(hanging.result)}; ${calls} questions, ${leastOpen} to ${mostOpen} hung at once, ${JSON.stringify(answers)} | without ${text(without)}`,
      );
    }
    return rows(pairs);
  } finally {
    for (const close of stop.toReversed()) await close();
  }
}

async function whileHanging(product: FeedsProduct, provider: Role, run: () => Promise<FeedsRunResult>): Promise<Hanging> {
  await provider.ask("hang");
  const people = new People(product);
  const hanging = routedFeeds(product).filter((_, at) => at % HANGING_EVERY === 0);
  const samples: ProviderState[] = [];
  const sampling = setInterval(() => void provider.ask<ProviderState>("state").then((state) => samples.push(state)), SAMPLE_MS);
  try {
    for (const feedId of hanging) await setProvider(product, feedId, "openai");
    people.start();
    const result = await run();
    clearInterval(sampling);
    const open = samples.map((sample) => sample.open);
    const since = open.findIndex((count) => count >= PEOPLE);
    const { calls } = await provider.ask<ProviderState>("state");
    const hung = since === -1 ? [0] : open.slice(since);
    return { result, calls, leastOpen: Math.min(...hung), mostOpen: Math.max(...hung), answers: people.answers };
  } finally {
    clearInterval(sampling);
    await provider.ask("release");
    await people.stop();
    for (const feedId of hanging) await setProvider(product, feedId, NOBODY);
    await people.untilAnswered();
  }
}

const routedFeeds = ({ account }: FeedsProduct): string[] =>
  account.feedIds.filter((_, feed) => feed % PLAN.plainEvery !== PLAN.plainEvery - 1);

const setProvider = ({ account }: FeedsProduct, feedId: string, provider: string): Promise<unknown> =>
  account.api("PUT", `/api/marketplace/feeds/${feedId}`, { provider });

/** Keeps so many questions open: who is refused asks again a second later. */
class People {
  readonly answers: Record<number, number> = {};
  readonly #product: FeedsProduct;
  #asking: Promise<void>[] = [];
  #isOver = false;

  constructor(product: FeedsProduct) {
    this.#product = product;
  }

  start(): void {
    this.#asking = Array.from({ length: PEOPLE }, async (_, person) => {
      while (!this.#isOver) {
        await this.#ask(person);
        if (!this.#isOver) await pause(ASK_AGAIN_MS);
      }
    });
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#asking);
  }

  /** The provider answers again, and is asked again. */
  async untilAnswered(): Promise<void> {
    const deadline = performance.now() + CALM_WITHIN_MS;
    while ((await this.#ask(0)) !== 200) {
      if (performance.now() > deadline) throw new Error(`the provider is not asked again: ${JSON.stringify(this.answers)}`);
      await pause(ASK_AGAIN_MS);
    }
  }

  async #ask(person: number): Promise<number> {
    const status = await this.#query(person).catch((error: unknown) => {
      // The front ends idle connections; who asks on one in that moment asks again.
      if (error instanceof TypeError) return 0;
      throw error;
    });
    this.answers[status] = (this.answers[status] ?? 0) + 1;
    return status;
  }

  async #query(person: number): Promise<number> {
    const { product, account } = this.#product;
    const feedId = account.feedIds[person % account.feedIds.length];
    const answer = await fetch(`${product.url}/api/llm/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${account.token}` },
      body: JSON.stringify({ feedId, question: "What is new?", provider: "openai" }),
    });
    await answer.arrayBuffer();
    return answer.status;
  }
}

function rows(pairs: readonly { hanging: Hanging; without: FeedsRunResult }[]): Row[] {
  const p99 = ratioOf(pairs.map(({ hanging, without }) => [hanging.result.latency.p99, without.latency.p99]));
  const throughput = ratioOf(pairs.map(({ hanging, without }) => [hanging.result.deliveriesPerSecond, without.deliveriesPerSecond]));
  const runs = pairs.flatMap(({ hanging, without }) => [hanging.result, without]);
  const name = `T9 ${PLAN.feeds} feeds × ${PER_FEED} messages/s while a provider hangs`;
  const idle = pairs.filter(({ hanging }) => hanging.leastOpen < PEOPLE).length;
  const warnings = [
    ...new Set(runs.flatMap((each) => each.warnings)),
    ...(idle > 0 ? [`void: in ${idle} runs fewer than ${PEOPLE} questions hung`] : []),
  ];
  const details = {
    hung: pairs.map(({ hanging: { calls, leastOpen, mostOpen, answers } }) => ({ calls, leastOpen, mostOpen, answers })),
    p99: pairs.map(({ hanging, without }) => [hanging.result.latency.p99, without.latency.p99]),
    deliveriesPerSecond: pairs.map(({ hanging, without }) => [hanging.result.deliveriesPerSecond, without.deliveriesPerSecond]),
    processes: pairs.map(({ hanging, without }) => [hanging.result.processes, without.processes]),
    limitsRaised: RAISED,
  };
  return [
    {
      scenario: `${name}: p99`,
      unit: "ms p99",
      value: median(pairs.map(({ hanging }) => hanging.result.latency.p99)),
      baseline: median(pairs.map(({ without }) => without.latency.p99)),
      ratio: p99.ratio,
      target: `≤ ${MOST_LATENCY_RATIO}× without`,
      pass: p99.ratio.median <= MOST_LATENCY_RATIO && idle === 0,
      latency: medians(pairs.map(({ hanging }) => hanging.result.latency)),
      baselineLatency: medians(pairs.map(({ without }) => without.latency)),
      ...accounting(runs),
      warnings: [...p99.warnings, ...warnings],
      details,
    },
    {
      scenario: `${name}: throughput`,
      unit: "deliveries/s",
      value: median(pairs.map(({ hanging }) => hanging.result.deliveriesPerSecond)),
      baseline: median(pairs.map(({ without }) => without.deliveriesPerSecond)),
      ratio: throughput.ratio,
      target: `≥ ${LEAST_THROUGHPUT_RATIO}× without`,
      pass: throughput.ratio.median >= LEAST_THROUGHPUT_RATIO && idle === 0,
      ...accounting(runs),
      warnings: throughput.warnings,
    },
  ];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
