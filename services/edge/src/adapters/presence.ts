/**
 * Says on core NATS what this edge's sockets listen to: on change and every 2 s; readers forget it after 6 s. Upstream connectors and topic
 * loops run only for what somebody listens to. Tests: lifecycle.int.test.ts.
 */
import type { Nats } from "@headwater/messaging";
import { PRESENCE_INTERVAL_MS, PRESENCE_KEYS_PER_PART, type PresenceDigest, subjects } from "@headwater/protocol";

/** A burst of connects is one message. */
const DEBOUNCE_MS = 100;
/** A digest of many keys is told less often on change, up to the interval. */
const KEYS_PER_DEBOUNCE_MS = 50;

export interface Presence {
  changed(): void;
  stop(): void;
}

export interface SurfacePresence {
  sockets: number;
  /** Routing key → sockets. */
  keys: ReadonlyMap<string, number>;
}

export interface PresenceOptions {
  nats: Nats;
  edgeId: string;
  /** New for every start of the process. */
  boot: string;
  nowMs: () => number;
  /** By surface name. */
  read: () => Record<string, SurfacePresence>;
}

export function startPresence(options: PresenceOptions): Presence {
  const { nats, edgeId, boot } = options;
  let soon: NodeJS.Timeout | undefined;
  let round = 0;
  let debounceMs = DEBOUNCE_MS;
  const publish = (): void => {
    clearTimeout(soon);
    soon = undefined;
    if (!nats.connected()) return;
    const parts = partsOf(options.read());
    debounceMs = Math.min(PRESENCE_INTERVAL_MS, DEBOUNCE_MS + ((parts.length - 1) * PRESENCE_KEYS_PER_PART) / KEYS_PER_DEBOUNCE_MS);
    const at = options.nowMs();
    parts.forEach((surfaces, part) => {
      const digest: PresenceDigest = { v: 1, edgeId, boot, round, part, parts: parts.length, at, surfaces };
      nats.core.publish(subjects.presence(edgeId), JSON.stringify(digest));
    });
    round++;
  };
  const timer = setInterval(publish, PRESENCE_INTERVAL_MS);
  timer.unref();
  publish();
  return {
    changed() {
      soon ??= setTimeout(publish, debounceMs).unref();
    },
    stop() {
      clearInterval(timer);
      clearTimeout(soon);
    },
  };
}

/** At least one part; every part names every surface with its sockets, keys are spread over the parts. */
export function partsOf(surfaces: Record<string, SurfacePresence>): PresenceDigest["surfaces"][] {
  const empty = (): PresenceDigest["surfaces"] =>
    Object.fromEntries(Object.entries(surfaces).map(([name, { sockets }]) => [name, { sockets, keys: {} }]));
  let part = empty();
  const parts = [part];
  let room = PRESENCE_KEYS_PER_PART;
  for (const [name, { keys }] of Object.entries(surfaces)) {
    for (const [key, count] of keys) {
      if (room === 0) {
        part = empty();
        parts.push(part);
        room = PRESENCE_KEYS_PER_PART;
      }
      const surface = part[name];
      // A topic is outside text: an own property whatever its name.
      if (surface) Object.defineProperty(surface.keys, key, { value: count, enumerable: true, writable: true, configurable: true });
      room--;
    }
  }
  return parts;
}
