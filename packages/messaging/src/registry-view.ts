/**
 * The REGISTRY stream in memory: every record with its position, so that config can be read as it was at any position.
 * Reads from the start, then follows live. Tests: registry-view.test.ts, registry-view.int.test.ts.
 */
import { RegistryRecord, type RegistryAggregate, subjects, parseSubject } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { Nats } from "./connection.ts";
import { openReader } from "./reader.ts";

export interface RegistryView {
  /** REGISTRY sequence up to which this view is complete. */
  position(): number;
  /** Newest record; undefined when it never was or was deleted. */
  get(aggregate: RegistryAggregate, id: string): RegistryRecord | undefined;
  /** The record as of position `reg` (inclusive). */
  getAt(aggregate: RegistryAggregate, id: string, reg: number): RegistryRecord | undefined;
  /** Newest records of an aggregate that are not deleted, in order of first appearance. */
  list(aggregate: RegistryAggregate): RegistryRecord[];
  /** Called after the view holds the record. @returns function that ends the listening. */
  onChange(listener: (record: RegistryRecord, seq: number) => void): () => void;
  /** Resolves when `position() ≥ position`; rejects after `withinMs` (default 5,000). */
  waitFor(position: number, withinMs?: number): Promise<void>;
  stop(): Promise<void>;
}

const REGISTRY_STREAM = "REGISTRY";

export interface OpenRegistryOptions {
  /** Kept in memory; default all. */
  aggregates?: readonly RegistryAggregate[];
  log: Logger;
}

/** Resolves when everything that is in the stream now has been read. */
export async function openRegistry(nats: Nats, options: OpenRegistryOptions): Promise<RegistryView> {
  const store = createRegistryStore(options.aggregates);
  const decoder = new TextDecoder();
  const reader = openReader(nats, {
    stream: REGISTRY_STREAM,
    from: "all",
    log: options.log,
    onMessage: (msg) => {
      const record = parseRecord(msg.subject, decoder.decode(msg.data));
      if (record === undefined) options.log.warn({ subject: msg.subject, streamSeq: msg.seq }, "registry.record_skipped");
      store.apply(record, msg.seq, { atMs: msg.timeMs, ttlMs: ttlOf(msg.header("Nats-TTL")) });
    },
    onError: (error) => options.log.error({ err: error }, "registry.reader_stopped"),
  });
  await reader.caughtUp;
  return {
    ...store.view,
    async stop() {
      await reader.stop();
      store.close();
    },
  };
}

/** Message TTLs are written as seconds here. */
function ttlOf(text: string | undefined): number | undefined {
  const match = /^(\d+)s$/.exec(text ?? "");
  return match ? Number(match[1]) * 1_000 : undefined;
}

function parseRecord(subject: string, text: string): RegistryRecord | undefined {
  const parsed = parseSubject(subject);
  if (parsed.kind !== "registry") return undefined;
  try {
    const record = RegistryRecord.safeParse(JSON.parse(text));
    return record.success && record.data.aggregate === parsed.aggregate && record.data.id === parsed.id ? record.data : undefined;
  } catch {
    return undefined; // not JSON: reported by the caller
  }
}

interface Version {
  seq: number;
  record: RegistryRecord;
}

/** When the stream stored a message, and how long it keeps it. */
export interface Kept {
  atMs: number;
  ttlMs: number | undefined;
}

/**
 * The pure half: records in, lookups out. What the stream keeps for a time only is forgotten here when that time is over, by the stream's clock:
 * nothing tells that it is gone, and the ends of login sessions would pile up for ever.
 */
export function createRegistryStore(aggregates?: readonly RegistryAggregate[]): {
  apply(record: RegistryRecord | undefined, seq: number, kept?: Kept): void;
  view: Omit<RegistryView, "stop">;
  close(): void;
} {
  const history = new Map<string, Version[]>();
  const listeners = new Set<(record: RegistryRecord, seq: number) => void>();
  const waiters = new Set<{ position: number; resolve(): void; reject(error: Error): void; timer: NodeJS.Timeout }>();
  /** In order of arrival; lifetimes are alike, so that is nearly the order of their ends. */
  const expiring = new Map<string, { seq: number; untilMs: number }>();
  let position = 0;

  const forgetExpired = (nowMs: number): void => {
    for (const [subject, { seq, untilMs }] of expiring) {
      if (untilMs > nowMs) return;
      expiring.delete(subject);
      if (history.get(subject)?.at(-1)?.seq === seq) history.delete(subject);
    }
  };
  const newest = (subject: string, reg: number): RegistryRecord | undefined => {
    const versions = history.get(subject);
    if (!versions) return undefined;
    for (let i = versions.length - 1; i >= 0; i--) {
      const version = versions[i];
      if (version && version.seq <= reg) return version.record.data === null ? undefined : version.record;
    }
    return undefined;
  };

  return {
    apply(record, seq, kept) {
      position = seq;
      if (kept) forgetExpired(kept.atMs);
      if (record && (aggregates === undefined || aggregates.includes(record.aggregate))) {
        const subject = subjects.registry(record.aggregate, record.id);
        const versions = history.get(subject);
        if (versions) versions.push({ seq, record });
        else history.set(subject, [{ seq, record }]);
        expiring.delete(subject);
        if (kept?.ttlMs !== undefined) expiring.set(subject, { seq, untilMs: kept.atMs + kept.ttlMs });
        for (const listener of listeners) listener(record, seq);
      }
      for (const waiter of waiters) {
        if (waiter.position > position) continue;
        waiters.delete(waiter);
        clearTimeout(waiter.timer);
        waiter.resolve();
      }
    },
    view: {
      position: () => position,
      get: (aggregate, id) => newest(subjects.registry(aggregate, id), Number.MAX_SAFE_INTEGER),
      getAt: (aggregate, id, reg) => newest(subjects.registry(aggregate, id), reg),
      list(aggregate) {
        const result: RegistryRecord[] = [];
        for (const versions of history.values()) {
          const last = versions.at(-1)?.record;
          if (last && last.aggregate === aggregate && last.data !== null) result.push(last);
        }
        return result;
      },
      onChange(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      waitFor(wanted, withinMs = 5_000) {
        if (position >= wanted) return Promise.resolve();
        return new Promise((resolve, reject) => {
          const waiter = {
            position: wanted,
            resolve,
            reject,
            timer: setTimeout(() => {
              waiters.delete(waiter);
              reject(new Error(`registry is at ${position}, ${wanted} did not arrive in ${withinMs} ms`));
            }, withinMs),
          };
          waiters.add(waiter);
        });
      },
    },
    close() {
      for (const waiter of waiters) {
        clearTimeout(waiter.timer);
        waiter.reject(new Error("registry view closed"));
      }
      waiters.clear();
    },
  };
}
