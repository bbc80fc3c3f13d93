/** Prometheus series of automatic analyses. No label per feed: there are many of them. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Schedule } from "../domain/schedule.ts";
import type { Ended, RunEnd } from "./run-analysis.ts";

export interface AutoMetrics {
  asked(driftMs: number): void;
  ended(ended: Ended): void;
  lost(runs: number): void;
  /** Source of the gauges. */
  watch(stats: () => ReturnType<Schedule["stats"]>): void;
}

export function autoMetrics(registry: Registry): AutoMetrics {
  const registers = [registry];
  const drift = new Histogram({
    name: "headwater_auto_tick_drift_seconds",
    help: "From the time an automatic analysis was due until its provider was asked",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const runs = new Counter<"outcome">({
    name: "headwater_auto_runs_total",
    help: "Automatic analyses that were due, by what became of them",
    labelNames: ["outcome"],
    registers,
  });
  let stats: (() => ReturnType<Schedule["stats"]>) | undefined;
  new Counter<"reason">({
    name: "headwater_auto_skipped_total",
    help: "Ticks without an analysis: no data, nothing new, still running, or too late",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(stats?.().skipped ?? {})) this.inc({ reason }, count);
    },
  });
  const gauge = (name: string, help: string, what: "loops" | "running"): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(stats?.()[what] ?? 0);
      },
    });
  };
  gauge("headwater_auto_loops", "Topics and plain feeds analysed automatically by this instance", "loops");
  gauge("headwater_auto_running", "Automatic analyses going on, those that wait for a place included", "running");
  const ends: readonly RunEnd[] = ["answered", "failed"];
  for (const outcome of ends) runs.inc({ outcome }, 0);
  return {
    asked: (driftMs) => drift.observe(Math.max(0, driftMs) / 1_000),
    ended: ({ end }) => runs.inc({ outcome: end }),
    lost: (count) => runs.inc({ outcome: "lost" }, count),
    watch(source) {
      stats = source;
    },
  };
}
