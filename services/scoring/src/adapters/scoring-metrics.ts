/** Prometheus series of the scoring service. Labels are few and bounded: ids belong in logs. */
import { Counter, Gauge, Registry } from "prom-client";

export interface LaneGauges {
  lane: number;
  lag: number;
  bytes: number;
  keys: number;
}

export function scoringMetrics() {
  const registry = new Registry();
  registry.setDefaultLabels({ service: "scoring" });
  const registers = [registry];
  /** A plain number per outcome, read when somebody scrapes: prom-client's own `inc` costs more than a step of the fold. */
  const folded = new Map<string, number>();
  new Counter({
    name: "headwater_scoring_events_total",
    help: "Visitor events folded, replay included, by outcome",
    labelNames: ["outcome"],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of folded) this.inc({ outcome }, count);
    },
  });
  const reads = new Counter({
    name: "headwater_scoring_reads_total",
    help: "Snapshot reads by outcome",
    labelNames: ["outcome"],
    registers,
  });
  let lanes: () => readonly LaneGauges[] = () => [];
  const gauge = (name: string, help: string, value: (lane: LaneGauges) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ["lane"],
      registers,
      collect() {
        this.reset();
        for (const lane of lanes()) this.set({ lane: String(lane.lane) }, value(lane));
      },
    });
  };
  gauge("headwater_lane_lag_messages", "Input messages not folded yet, per owned lane", (lane) => lane.lag);
  gauge("headwater_lane_state_bytes", "Estimated bytes of visitor state in memory, per owned lane", (lane) => lane.bytes);
  gauge("headwater_lane_keys", "Visitors in memory, per owned lane", (lane) => lane.keys);
  return {
    registry,
    folded: (outcome: string) => void folded.set(outcome, (folded.get(outcome) ?? 0) + 1),
    read: (outcome: string) => reads.inc({ outcome }),
    /** Source of the lane gauges. */
    watch(source: () => readonly LaneGauges[]): void {
      lanes = source;
    },
  };
}
