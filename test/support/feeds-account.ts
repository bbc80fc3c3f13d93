/**
 * An account with feeds on a running Headwater, made through the public REST API as a user would: registration, plan (operator), key, feeds
 * of a plan with an upstream role behind them. Touches loopback only.
 */
import type { PlannedFeed } from "./feed-plan.ts";
import type { Product } from "./product.ts";

export interface FeedsAccount {
  userId: string;
  token: string;
  /** `ts_live_…` with every scope of the socket. */
  apiKey: string;
  /** Feed ids in the order of the plan. */
  feedIds: string[];
  api<T>(method: string, path: string, body?: unknown): Promise<T>;
}

const PASSWORD = "correct horse battery staple";

export async function createFeedsAccount(product: Product, name: string): Promise<FeedsAccount> {
  const api = async <T>(method: string, route: string, body?: unknown, token?: string): Promise<T> => {
    for (let attempt = 0; ; attempt++) {
      const answer = await fetch(`${product.url}${route}`, {
        method,
        headers: { "Content-Type": "application/json", ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      // Limits are part of the contract: a client waits as long as it is told.
      if (answer.status === 429 && attempt < 20) {
        await answer.arrayBuffer();
        await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
        continue;
      }
      // Every route answers with one JSON object; the caller names its own.
      const value = (await answer.json()) as T;
      if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${JSON.stringify(value)}`);
      return value;
    }
  };
  const { token, user } = await api<{ token: string; user: { _id: string } }>("POST", "/api/auth/register", {
    email: `${name}@example.com`,
    password: PASSWORD,
    name,
  });
  await product.raiseLimits(`acct-${user._id}`, "custom", {});
  const { key } = await api<{ key: string }>("POST", "/api/auth/api-keys", { name, scopes: ["websocket:*"] }, token);
  return { userId: user._id, token, apiKey: key, feedIds: [], api: (method, route, body) => api(method, route, body, token) };
}

/** The owner's own subscription comes with each feed, so all of them connect. */
export async function createPlannedFeeds(account: FeedsAccount, plan: readonly PlannedFeed[], upstreamUrl: string): Promise<void> {
  for (const feed of plan) {
    const { data } = await account.api<{ data: { _id: string } }>("POST", "/api/marketplace/feeds", {
      name: `${feed.provider} ${feed.index}`,
      url: `${upstreamUrl}/f/${feed.index}`,
      connectionType: "websocket",
      category: "crypto",
      isPublic: false,
      enableTopicRouting: feed.isRouted,
      ...(feed.isRouted ? { topicField: feed.topicField } : {}),
      reconnectionDelay: 200,
    });
    account.feedIds.push(data._id);
  }
}
