/** Counts of the upstream connectors: metrics without labels per feed, and the same numbers for `status()`. */
import { Counter, Gauge, type Registry } from "prom-client";
import { DROP_REASONS, type DropReason } from "../domain/upstream-message.ts";
import { FEED_STATUSES, type FeedStatus } from "@headwater/protocol";

export interface UpstreamTelemetrySources {
  feedsByStatus(): Readonly<Record<FeedStatus, number>>;
  lanes(): number;
  pendingBytes(): number;
}

export class UpstreamTelemetry {
  readonly #dropped = new Map<DropReason, number>(DROP_REASONS.map((reason) => [reason, 0]));
  readonly #totals = { attempts: 0, connects: 0, lost: 0, failed: 0, messages: 0, bytes: 0, pauses: 0 };

  constructor(registry: Registry, sources: UpstreamTelemetrySources) {
    const registers = [registry];
    const totals = this.#totals;
    const dropped = this.#dropped;
    new Gauge({
      name: "headwater_upstream_feeds",
      help: "Feeds this instance connects, by state",
      labelNames: ["status"],
      registers,
      collect() {
        const counts = sources.feedsByStatus();
        for (const status of FEED_STATUSES) this.set({ status }, counts[status]);
      },
    });
    gauge(registers, "headwater_upstream_lanes", "Upstream lanes this instance owns", () => sources.lanes());
    gauge(registers, "headwater_upstream_pending_bytes", "Feed lines that wait for the log", () => sources.pendingBytes());
    new Counter({
      name: "headwater_upstream_dropped_total",
      help: "What upstreams sent and the log did not get, by reason",
      labelNames: ["reason"],
      registers,
      collect() {
        this.reset();
        for (const [reason, count] of dropped) this.inc({ reason }, count);
      },
    });
    total(registers, "headwater_upstream_messages_total", "Messages taken from upstreams", () => totals.messages);
    total(registers, "headwater_upstream_bytes_total", "Bytes of these messages as received", () => totals.bytes);
    total(registers, "headwater_upstream_attempts_total", "Attempts to connect", () => totals.attempts);
    total(registers, "headwater_upstream_connects_total", "Attempts that succeeded", () => totals.connects);
    total(registers, "headwater_upstream_failures_total", "Attempts that failed", () => totals.failed);
    total(registers, "headwater_upstream_lost_total", "Connections that ended unasked", () => totals.lost);
    total(registers, "headwater_upstream_pauses_total", "Times reading stopped because a feed was over its limits", () => totals.pauses);
  }

  attempted(): void {
    this.#totals.attempts++;
  }
  connected(): void {
    this.#totals.connects++;
  }
  ended(wasOpen: boolean): void {
    if (wasOpen) this.#totals.lost++;
    else this.#totals.failed++;
  }
  received(messages: number, bytes: number): void {
    this.#totals.messages += messages;
    this.#totals.bytes += bytes;
  }
  paused(): void {
    this.#totals.pauses++;
  }
  dropped(reason: DropReason, count: number): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + count);
  }

  counts(): Record<string, unknown> {
    const dropped = Object.fromEntries([...this.#dropped].filter(([, count]) => count > 0));
    return { ...this.#totals, dropped };
  }
}

function gauge(registers: Registry[], name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read());
    },
  });
}

function total(registers: Registry[], name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers,
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}
