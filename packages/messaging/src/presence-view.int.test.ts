/** Presence over real NATS: told, kept through an outage of the broker, forgotten when an edge is silent, deaf to nonsense. */
import { PRESENCE_TTL_MS, type PresenceDigest, subjects } from "@headwater/protocol";
import { quietLogger, startNats, until } from "@headwater/testkit";
import { expect, it } from "vitest";
import { openNats } from "./connection.ts";
import { openPresence } from "./presence-view.ts";

it("gathers what edges tell and forgets the silent", async () => {
  const server = await startNats();
  const nats = await openNats({ url: server.url, name: "presence", log: quietLogger() });
  // Stands until it is put forward: how long an edge was silent is exact.
  let nowMs = 0;
  const view = openPresence(nats, { clock: { now: () => nowMs, monotonicMs: () => nowMs }, log: quietLogger() });
  try {
    let round = 0;
    const tell = (edgeId: string, keys: Record<string, number>): void => {
      const digest: PresenceDigest = {
        v: 1, edgeId, boot: "b", round: round++, part: 0, parts: 1, at: 0, surfaces: { feeds: { sockets: 1, keys } },
      }; // biome-ignore format: one literal
      nats.core.publish(subjects.presence(edgeId), JSON.stringify(digest));
    };
    nats.core.publish(subjects.presence("e0"), "not JSON");
    nats.core.publish(subjects.presence("e0"), '{"v":2}');
    tell("e1", { f1: 2 });
    await until("it is told", () => view.count("feeds", "f1") === 2);

    server.kill();
    await until("the broker is away", () => !nats.connected());
    await until("the broker is back", () => nats.connected());
    expect(view.count("feeds", "f1")).toBe(2);

    nowMs = 1;
    tell("e2", { f2: 1 });
    await until("another edge tells", () => view.count("feeds", "f2") === 1);
    nowMs = PRESENCE_TTL_MS + 1;
    await until("it is forgotten", () => view.count("feeds", "f1") === 0);
    // Silent for a millisecond less.
    expect(view.count("feeds", "f2")).toBe(1);
    await view.ready;
  } finally {
    view.stop();
    await nats.drain();
    await server.stop();
  }
});
