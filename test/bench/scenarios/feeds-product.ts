/** The product as a pipeline of the feed scenario: an upstream role, an account with its feeds on a `--per-service` system, and its `/ws`. */
import { createFeedsAccount, createPlannedFeeds, type FeedsAccount } from "../../support/feeds-account.ts";
import { planFeeds } from "../../support/feed-plan.ts";
import { type Product, startProduct } from "../../support/product.ts";
import { type Role, startRole } from "../../support/role.ts";
import type { FeedsPipeline } from "../reference/feeds-reference.ts";

/** Limits that the scenario raises, named in every result. */
export const RAISED_FEED_LIMITS = {
  plan: "custom (10,000 feeds, 500 subscriptions per socket)",
  RATE_LIMIT_PER_SECOND: "1,000 (to create the feeds)",
  RATE_LIMIT_BURST: "1,000",
  WS_MESSAGE_BURST: "1,000 (the stalled socket subscribes 260 times at once)",
  WS_MAX_FULL_MS: "600,000 (a stalled socket stays for the whole run)",
};

export interface FeedsProduct extends FeedsPipeline {
  product: Product;
  /** Owns all feeds. */
  account: FeedsAccount;
}

export async function startFeedsProduct(
  plan: { feeds: number; plainEvery: number },
  env: Record<string, string> = {},
): Promise<FeedsProduct> {
  const upstream: Role = await startRole("upstream", new URL("../../support/upstream-role.ts", import.meta.url), { isFirst: true });
  let product: Product | undefined;
  const stop = async (): Promise<void> => {
    await product?.stop();
    await upstream.stop();
  };
  try {
    const upstreamPort = await upstream.ask<number>("listen", plan);
    product = await startProduct({
      env: {
        UPSTREAM_ALLOWED_HOSTS: `127.0.0.1:${upstreamPort}`,
        RATE_LIMIT_PER_SECOND: "1000",
        RATE_LIMIT_BURST: "1000",
        WS_MAX_FULL_MS: "600000",
        WS_MESSAGE_BURST: "1000",
        ...env,
      },
    });
    const running = product;
    const feeds = planFeeds(plan.feeds, plan.plainEvery);
    const account = await createFeedsAccount(running, "bench");
    await createPlannedFeeds(account, feeds, `ws://127.0.0.1:${upstreamPort}`);
    await upstream.ask("connected", { withinMs: 30_000 });
    const subscribe = (key: string): string => {
      const [feed = 0, topic] = key.split(".").map(Number);
      const feedId = account.feedIds[feed];
      if (topic === undefined) return JSON.stringify({ type: "subscribe-feed", payload: { feedId } });
      return JSON.stringify({ type: "subscribe-topic", payload: { feedId, topic: feeds[feed]?.topics[topic], include: ["data"] } });
    };
    return {
      name: "product",
      product: running,
      account,
      ws: { host: running.host, port: running.servicePort("edge-0"), path: "/ws" },
      replyMarker: '"subscription-success"',
      greet: (keys) => ({
        greetings: [JSON.stringify({ type: "authenticate", payload: { apiKey: account.apiKey } }), ...keys.map(subscribe)],
        replies: keys.length,
      }),
      upstream,
      pids: () => new Map([...running.pids(), ["upstream", upstream.pid]]),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
