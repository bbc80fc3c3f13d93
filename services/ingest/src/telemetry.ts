/**
 * One method per business event of intake: metrics, no log lines, because this is the hot path. Counters are plain numbers that are read
 * when somebody scrapes; prom-client's own `inc` costs more than the rest of the bookkeeping.
 */
import type { ErrorCode } from "@headwater/protocol";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { BatchPlan } from "./domain/batch.ts";

export interface TelemetrySources {
  pendingBytes(): number;
  inFlight(): number;
  privacyEntries(): { consents: number; erasures: number };
  registryPosition(): number;
}

export class Telemetry {
  readonly registry = new Registry();
  readonly #events = new Map<string, number>();
  readonly #refusals = new Map<string, number>();
  readonly #ack: Histogram;
  #requests = 0;
  #skipped = 0;

  constructor(sources: TelemetrySources) {
    this.registry.setDefaultLabels({ service: "ingest" });
    const registers = [this.registry];
    this.#ack = new Histogram({
      name: "headwater_ingest_ack_seconds",
      help: "From a complete request body to the acknowledgement of the log",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
      registers,
    });
    counter("headwater_ingest_events_total", "Events by what became of them", "outcome", this.#events, registers);
    counter("headwater_ingest_refused_requests_total", "Requests refused, by error code", "code", this.#refusals, registers);
    const total = { total: () => this.#requests, skipped: () => this.#skipped };
    gauge("headwater_ingest_accepted_requests", "Requests answered with 202", total.total, registers);
    gauge("headwater_ingest_skipped_privacy_records", "Records of CONSENTS and ERASURES that could not be read", total.skipped, registers);
    gauge("headwater_ingest_pending_bytes", "Bytes waiting for the log", () => sources.pendingBytes(), registers);
    gauge("headwater_ingest_in_flight_requests", "Requests being answered", () => sources.inFlight(), registers);
    gauge("headwater_ingest_consent_entries", "Visitors whose consent is known", () => sources.privacyEntries().consents, registers);
    gauge("headwater_ingest_erasure_entries", "Visitors who ever opted out", () => sources.privacyEntries().erasures, registers);
    gauge("headwater_registry_position", "REGISTRY sequence this instance has read", () => sources.registryPosition(), registers);
  }

  /** @param ackMs from the complete body to the acknowledgement. */
  accepted(plan: BatchPlan, duplicates: number, ackMs: number): void {
    this.#requests++;
    add(this.#events, "accepted", plan.visits.length + plan.consents.length - duplicates);
    if (duplicates > 0) add(this.#events, "duplicate", duplicates);
    if (plan.errors.length > 0) add(this.#events, "rejected", plan.errors.length);
    if (plan.dropped > 0) for (const [reason, count] of Object.entries(plan.dropReasons)) add(this.#events, `dropped_${reason}`, count);
    this.#ack.observe(ackMs / 1_000);
  }

  rejectedBatch(events: number): void {
    add(this.#events, "rejected", events);
  }

  refused(code: ErrorCode): void {
    add(this.#refusals, code, 1);
  }

  privacyRecordSkipped(): void {
    this.#skipped++;
  }

  counts(): Record<string, number> {
    return Object.fromEntries(this.#events);
  }
}

function add(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

function counter(name: string, help: string, label: string, counts: ReadonlyMap<string, number>, registers: Registry[]): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers,
    collect() {
      this.reset();
      for (const [value, count] of counts) this.inc({ [label]: value }, count);
    },
  });
}

function gauge(name: string, help: string, read: () => number, registers: Registry[]): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read());
    },
  });
}
