/**
 * The reference pipeline for feeds: upstream reader → echo → keyed edge, three processes without product logic, with an fsync before every
 * acknowledgement like the product. The same upstream role, sink and subscriptions are used for both.
 */
import { type Role, startRole } from "../../support/role.ts";
import type { BenchContext } from "../support/context.ts";
import { startBenchNats } from "../support/nats.ts";

export interface FeedsPipeline {
  name: string;
  ws: { host: string; port: number; path: string };
  replyMarker: string;
  /** What a socket sends to listen to these keys, and how many replies come. */
  greet(keys: readonly string[]): { greetings: string[]; replies: number };
  upstream: Role;
  pids: () => ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

export async function startFeedsReference(context: BenchContext, plan: { feeds: number; plainEvery: number }): Promise<FeedsPipeline> {
  const nats = await startBenchNats("always", context.env);
  const roles: Role[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(roles.map((role) => role.stop()));
    await nats.stop();
  };
  try {
    const start = async (name: string, file: string, isFirst = false): Promise<Role> => {
      const role = await startRole(name, new URL(file, import.meta.url), { isFirst });
      roles.push(role);
      return role;
    };
    const upstream = await start("upstream", "../../support/upstream-role.ts", true);
    const reader = await start("reference-reader", "./feed-reader-role.ts");
    const echo = await start("reference-echo", "./echo-role.ts");
    const edge = await start("reference-edge", "./keyed-edge-role.ts");
    const upstreamPort = await upstream.ask<number>("listen", plan);
    await reader.ask("start", { url: nats.url, upstream: `ws://127.0.0.1:${upstreamPort}`, feeds: plan.feeds });
    await echo.ask("start", { url: nats.url });
    const port = await edge.ask<number>("start", { url: nats.url });
    return {
      name: "reference",
      ws: { host: "127.0.0.1", port, path: "/" },
      replyMarker: '"subscribed"',
      greet: (keys) => ({ greetings: [JSON.stringify(keys)], replies: 1 }),
      upstream,
      pids: () => new Map([["nats-server", nats.pid], ...roles.map((role): [string, number] => [role.name, role.pid])]),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
