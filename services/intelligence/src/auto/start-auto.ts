/**
 * Automatic analyses of one instance: loops, runner, presence and the housekeeping of run rows. service.ts gives what it needs and stops it
 * before leases and connections. Tests: auto.int.test.ts.
 */
import { setTimeout as startTimer } from "node:timers";
import { type Nats, openPresence } from "@headwater/messaging";
import { laneOf } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type pg from "pg";
import type { Registry } from "prom-client";
import type { AutoMemory, ContextSource, Feeds, Ownership, Providers, Slots, Usage } from "../ports.ts";
import type { FrameSink } from "./analysis-writer.ts";
import { AutoLoops, type LoopSettings } from "./auto-loops.ts";
import { autoMetrics } from "./auto-metrics.ts";
import { AnalysisRunner, type RunnerSettings } from "./run-analysis.ts";
import { createRunStore, type RunStore } from "../adapters/run-store.ts";

export interface AutoDeps {
  nats: Nats;
  pool: pg.Pool;
  clock: Clock;
  log: Logger;
  metrics: Registry;
  contexts: ContextSource;
  memory: AutoMemory;
  ownership: Ownership;
  feeds: Feeds;
  slots: Slots;
  usage: Usage;
  providers: Providers;
  writer: FrameSink;
  laneCount: number;
  settings: LoopSettings & RunnerSettings;
}

export interface Auto {
  /** Shown by status. */
  status(): { loops: number; running: number };
  /** Ends all loops, cancels their calls and waits until these are settled and billed. */
  stop(): Promise<void>;
}

/** Longest run there is (30 s) and the slowest settlement, several times over. */
const LOST_AFTER_MS = 180_000;
const UNBILLED_AFTER_MS = 30_000;
const HOUSEKEEPING_MS = 15_000;
const KEPT_MS = 48 * 3_600_000;
const BILLS_PER_ROUND = 200;

export function startAuto(deps: AutoDeps): Auto {
  const { nats, clock, log, ownership, feeds, contexts, usage } = deps;
  const metrics = autoMetrics(deps.metrics);
  const store = createRunStore(deps.pool);
  const presence = openPresence(nats, { clock, log });
  // Ticks are numbered from the epoch, so instances agree on them, and never jump.
  const origin = clock.now() - clock.monotonicMs();
  const now = (): number => origin + clock.monotonicMs();
  const runner = new AnalysisRunner({ ...deps, store, now, onAsked: (driftMs) => metrics.asked(driftMs) });
  const loops = new AutoLoops({
    feeds,
    contexts,
    ownership,
    presence,
    now,
    after: (ms, call) => {
      const timer = startTimer(call, ms);
      return () => clearTimeout(timer);
    },
    run: (run, signal, waitMs) => runner.run(run, signal, waitMs),
    tell: (ref, error) => runner.tell(ref, error),
    onEnded: (ended) => metrics.ended(ended),
    onGone: (ref) => runner.forget(ref),
    laneCount: deps.laneCount,
    settings: deps.settings,
  });
  metrics.watch(() => loops.stats());

  const writeOff = async (work: Promise<number>): Promise<void> => {
    const runs = await work;
    if (runs === 0) return;
    metrics.lost(runs);
    log.warn({ runs }, "auto.runs_lost");
  };
  /** Runs of the lane's earlier owner will not be completed: they count as lost, and their ticks are over. */
  const stopWatching = ownership.onChange((lane, isOwned) => {
    if (!isOwned) return;
    const epoch = epochOf(lane, deps);
    if (epoch === undefined) return; // no feed there: nothing to write off that age would not
    writeOff(store.loseEarlier(lane, epoch)).catch((error: unknown) => log.warn({ err: error, lane }, "auto.runs_not_written_off"));
  });
  let keeping: Promise<void> | undefined;
  const keepHouse = async (): Promise<void> => {
    try {
      await writeOff(store.loseOlderThan(LOST_AFTER_MS));
      await billLate(store, usage);
      await store.prune(KEPT_MS);
    } catch (error) {
      log.warn({ err: error }, "auto.housekeeping_failed");
    }
  };
  const timer = setInterval(() => {
    keeping ??= keepHouse().finally(() => (keeping = undefined));
  }, HOUSEKEEPING_MS);
  loops.start();

  return {
    status: () => {
      const { loops: count, running } = loops.stats();
      return { loops: count, running };
    },
    async stop() {
      clearInterval(timer);
      stopWatching();
      await loops.stop();
      await runner.settled();
      await keeping;
      presence.stop();
    },
  };
}

/** Bills of runs whose owner died, or could not reach auth, between settlement and bill. Anybody may send them: each counts once. */
async function billLate(store: RunStore, usage: Usage): Promise<void> {
  const done: string[] = [];
  for (const { id, tenantId, tokens } of await store.unbilled({ olderThanMs: UNBILLED_AFTER_MS, limit: BILLS_PER_ROUND })) {
    if ((await usage.add(tenantId, id, tokens)) === undefined) break;
    done.push(id);
  }
  await store.billed(done);
}

function epochOf(lane: number, { feeds, ownership, laneCount }: AutoDeps): number | undefined {
  for (const feed of feeds.all()) if (laneOf(feed.id, laneCount) === lane) return ownership.epochOf(feed.id);
  return undefined;
}
