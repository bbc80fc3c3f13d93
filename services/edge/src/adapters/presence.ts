/**
 * Says on core NATS what this edge's sockets listen to: on change and every 2 s; readers forget it after 6 s. Upstream connectors and topic
 * loops run only for what somebody listens to. Tests: lifecycle.int.test.ts.
 */
import type { Nats } from "@headwater/messaging";
import { subjects } from "@headwater/protocol";

const INTERVAL_MS = 2_000;
/** A burst of connects is one message. */
const DEBOUNCE_MS = 100;
const MAX_KEYS = 1_000;

export interface Presence {
  changed(): void;
  stop(): void;
}

export interface PresenceOptions {
  nats: Nats;
  edgeId: string;
  nowMs: () => number;
  /** Surface name → routing key → sockets. */
  read: () => Record<string, Map<string, number>>;
}

export function startPresence(options: PresenceOptions): Presence {
  const { nats, edgeId } = options;
  let soon: NodeJS.Timeout | undefined;
  const publish = (): void => {
    clearTimeout(soon);
    soon = undefined;
    if (!nats.connected()) return;
    const surfaces = Object.fromEntries(
      Object.entries(options.read()).map(([name, keys]) => [
        name,
        { sockets: [...keys.values()].reduce((sum, count) => sum + count, 0), keys: Object.fromEntries([...keys].slice(0, MAX_KEYS)) },
      ]),
    );
    nats.core.publish(subjects.presence(edgeId), JSON.stringify({ v: 1, edgeId, at: options.nowMs(), surfaces }));
  };
  const timer = setInterval(publish, INTERVAL_MS);
  timer.unref();
  publish();
  return {
    changed() {
      soon ??= setTimeout(publish, DEBOUNCE_MS);
      soon.unref();
    },
    stop() {
      clearInterval(timer);
      clearTimeout(soon);
    },
  };
}
