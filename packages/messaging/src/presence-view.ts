/**
 * What the sockets of all edges listen to, gathered from their digests on core NATS `presence.<edgeId>`: connectors and topic loops run
 * only for what somebody listens to. An edge that is silent for 6 s is forgotten. Tests: presence-view.test.ts, presence-view.int.test.ts.
 */
import { PRESENCE_INTERVAL_MS, PRESENCE_TTL_MS, PresenceDigest, subjects } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { Nats } from "./connection.ts";

export interface PresenceView {
  /** Sockets that listen to a routing key on a surface, over all edges. */
  count(surface: string, key: string): number;
  /** Routing key → sockets, only keys with at least one. */
  keys(surface: string): ReadonlyMap<string, number>;
  /** Called with the new count whenever it changes. @returns function that ends the listening. */
  onChange(listener: (surface: string, key: string, count: number) => void): () => void;
  /** Resolves when every edge alive has had time to tell: until then a count of 0 means nothing. */
  ready: Promise<void>;
  stop(): void;
}

type Surfaces = Map<string, Map<string, number>>;

interface Edge {
  boot: string;
  /** Round whose parts are being gathered, or the last one that was complete. */
  round: number;
  parts: Map<number, PresenceDigest["surfaces"]>;
  isComplete: boolean;
  heardAt: number;
  told: Surfaces;
}

/** The pure half: digests in, counts out. */
export interface PresenceTable {
  apply(digest: PresenceDigest, nowMs: number): void;
  /** Forgets edges not heard of since `sinceMs`. */
  forget(sinceMs: number): void;
  /** Takes every edge as heard of now: the silence was ours. */
  refresh(nowMs: number): void;
  view: Pick<PresenceView, "count" | "keys" | "onChange">;
}

export function createPresenceTable(): PresenceTable {
  const edges = new Map<string, Edge>();
  const totals: Surfaces = new Map();
  const listeners = new Set<(surface: string, key: string, count: number) => void>();

  const replace = (before: Surfaces, after: Surfaces): void => {
    for (const [surface, keys] of before) for (const [key, count] of keys) if (!after.get(surface)?.has(key)) add(surface, key, -count);
    for (const [surface, keys] of after) for (const [key, count] of keys) add(surface, key, count - (before.get(surface)?.get(key) ?? 0));
  };
  const add = (surface: string, key: string, change: number): void => {
    if (change === 0) return;
    let keys = totals.get(surface);
    if (!keys) totals.set(surface, (keys = new Map()));
    const count = (keys.get(key) ?? 0) + change;
    if (count > 0) keys.set(key, count);
    else keys.delete(key);
    for (const listener of listeners) listener(surface, key, Math.max(0, count));
  };

  return {
    apply(digest, nowMs) {
      let edge = edges.get(digest.edgeId);
      if (!edge) {
        edge = { boot: digest.boot, round: -1, parts: new Map(), isComplete: true, heardAt: nowMs, told: new Map() };
        edges.set(digest.edgeId, edge);
      }
      if (edge.boot !== digest.boot) Object.assign(edge, { boot: digest.boot, round: -1 });
      edge.heardAt = nowMs;
      if (digest.round < edge.round || (digest.round === edge.round && edge.isComplete)) return;
      if (digest.round > edge.round) Object.assign(edge, { round: digest.round, parts: new Map(), isComplete: false });
      edge.parts.set(digest.part, digest.surfaces);
      if (edge.parts.size < digest.parts) return;
      const told = merge(edge.parts.values());
      replace(edge.told, told);
      Object.assign(edge, { told, parts: new Map(), isComplete: true });
    },
    forget(sinceMs) {
      for (const [id, edge] of edges) {
        if (edge.heardAt >= sinceMs) continue;
        edges.delete(id);
        replace(edge.told, new Map());
      }
    },
    refresh(nowMs) {
      for (const edge of edges.values()) edge.heardAt = nowMs;
    },
    view: {
      count: (surface, key) => totals.get(surface)?.get(key) ?? 0,
      keys: (surface) => totals.get(surface) ?? new Map(),
      onChange(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  };
}

function merge(parts: Iterable<PresenceDigest["surfaces"]>): Surfaces {
  const result: Surfaces = new Map();
  for (const part of parts) {
    for (const [surface, { keys }] of Object.entries(part)) {
      let known = result.get(surface);
      if (!known) result.set(surface, (known = new Map()));
      for (const [key, count] of Object.entries(keys)) if (count > 0) known.set(key, (known.get(key) ?? 0) + count);
    }
  }
  return result;
}

const CHECK_MS = 500;
/** Slack of an edge's own timer. */
const SLACK_MS = 500;

export function openPresence(nats: Nats, options: { clock: Clock; log: Logger }): PresenceView {
  const { clock, log } = options;
  const table = createPresenceTable();
  const decoder = new TextDecoder();
  const subscription = nats.core.subscribe(subjects.allPresence(), {
    callback: (msg) => {
      const digest = parseDigest(decoder.decode(msg.data));
      if (digest) table.apply(digest, clock.monotonicMs());
      else log.warn({ subject: msg.subject }, "presence.digest_skipped");
    },
  });
  const stopStatus = nats.onStatus((event) => {
    if (event === "reconnect") table.refresh(clock.monotonicMs());
  });
  const timer = setInterval(() => {
    // While we hear nobody, nobody is forgotten.
    if (nats.connected()) table.forget(clock.monotonicMs() - PRESENCE_TTL_MS);
  }, CHECK_MS);
  timer.unref();
  const ready = Promise.withResolvers<void>();
  const readyTimer = setTimeout(ready.resolve, PRESENCE_INTERVAL_MS + SLACK_MS);
  readyTimer.unref();
  return {
    ...table.view,
    ready: ready.promise,
    stop() {
      clearInterval(timer);
      clearTimeout(readyTimer);
      ready.resolve();
      stopStatus();
      if (!nats.closed) subscription.unsubscribe();
    },
  };
}

function parseDigest(text: string): PresenceDigest | undefined {
  try {
    return PresenceDigest.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // not JSON: reported by the caller
  }
}
