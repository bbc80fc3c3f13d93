/** Prometheus series of topic routing. No label per feed: there are many of them, and their owners see counts in the feed's status. */
import { Counter, Gauge, type Registry } from "prom-client";

export interface TopicLaneGauges {
  lane: number;
  lag: number;
  bytes: number;
  keys: number;
  lostInputs: number;
}

export interface TopicMetrics {
  count(what: string, by: number): void;
  /** Source of the lane gauges. */
  watch(source: () => readonly TopicLaneGauges[]): void;
}

export function topicMetrics(registry: Registry): TopicMetrics {
  const registers = [registry];
  /** Plain numbers, read when somebody scrapes: prom-client's own `inc` costs more than a step of the fold. */
  const counts = new Map<string, number>();
  const counter = (name: string, help: string, what: string): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(counts.get(what) ?? 0);
      },
    });
  };
  counter("headwater_feed_messages_total", "Messages of upstream feeds folded, replay included", "message");
  counter("headwater_feed_routed_total", "Outputs of feeds: messages of plain feeds, messages and batch elements with a topic", "routed");
  counter("headwater_feed_state_lines_total", "Connection states of upstream feeds folded", "state");
  counter("headwater_feed_stale_lines_total", "Feed lines dropped because they were repeated or of a replaced writer", "stale");
  counter("headwater_feed_unknown_lines_total", "Feed lines dropped because their feed is gone", "unknown");
  counter("headwater_feed_topics_evicted_total", "Topics dropped because their feed had too many", "evicted");
  new Counter({
    name: "headwater_feed_unrouted_total",
    help: "Messages and batch elements without a topic, by reason",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const [what, count] of counts) if (what.startsWith(UNROUTED)) this.inc({ reason: what.slice(UNROUTED.length) }, count);
    },
  });
  let lanes: () => readonly TopicLaneGauges[] = () => [];
  const gauge = (name: string, help: string, value: (lane: TopicLaneGauges) => number): void => {
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
  gauge("headwater_lane_state_bytes", "Estimated bytes of feed state in memory, per owned lane", (lane) => lane.bytes);
  gauge("headwater_lane_keys", "Feeds in memory, per owned lane", (lane) => lane.keys);
  gauge(
    "headwater_lane_dropped_inputs",
    "Input messages the log dropped before they were folded, per owned lane",
    (lane) => lane.lostInputs,
  );
  return {
    count: (what, by) => void counts.set(what, (counts.get(what) ?? 0) + by),
    watch(source) {
      lanes = source;
    },
  };
}

const UNROUTED = "unrouted:";
