/** Stands for an edge: tells on core NATS which routing keys sockets listen to, as often as an edge does. Never imported by product code. */
import { randomId, type Nats } from "@headwater/messaging";
import { PRESENCE_INTERVAL_MS, type PresenceDigest, subjects } from "@headwater/protocol";

export interface Listeners {
  /** From now on these and no others; told at once. */
  listen(...keys: string[]): void;
  stop(): void;
}

export function openListeners(nats: Nats, edgeId: string): Listeners {
  const boot = randomId();
  let keys: string[] = [];
  let round = 0;
  const tell = (): void => {
    const counts = Object.fromEntries(keys.map((key) => [key, 1]));
    const digest: PresenceDigest = {
      v: 1,
      edgeId,
      boot,
      round: ++round,
      part: 0,
      parts: 1,
      at: round,
      surfaces: { feeds: { sockets: keys.length, keys: counts } },
    };
    nats.core.publish(subjects.presence(edgeId), JSON.stringify(digest));
  };
  const timer = setInterval(tell, PRESENCE_INTERVAL_MS);
  return {
    listen(...wanted) {
      keys = wanted;
      tell();
    },
    stop: () => clearInterval(timer),
  };
}
