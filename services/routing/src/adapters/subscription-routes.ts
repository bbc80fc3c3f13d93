/** `/api/marketplace/subscribe|unsubscribe|subscriptions`. Tests: ../marketplace-subscriptions.int.test.ts. */
import { type ApiShell, sessionOf } from "@headwater/api-http";
import { type ApiSubscription, SubscriptionSettingsRequest } from "@headwater/protocol";
import { feedNotFound, type MarketplacePorts, param, parseBody, refusal, viewFor } from "./marketplace-ports.ts";
import type { SubscriptionRow } from "./subscription-store.ts";

export function subscriptionRoutes({ routes, session, json }: ApiShell, ports: MarketplacePorts): void {
  routes.post("/api/marketplace/subscribe/:feedId", session, async (req, res) => {
    const row = await ports.subscriptions.subscribe(sessionOf(req), param(req, "feedId"));
    if (!row) throw feedNotFound();
    await ports.applied();
    res.json({ message: "Subscribed", subscription: subscriptionView(row), success: true });
  });

  // The same answer whether or not there was a subscription, or a feed.
  routes.post("/api/marketplace/unsubscribe/:feedId", session, async (req, res) => {
    if (await ports.subscriptions.unsubscribe(sessionOf(req).userId, param(req, "feedId"))) await ports.applied();
    res.json({ success: true, message: "Unsubscribed" });
  });

  routes.get("/api/marketplace/subscriptions", session, async (req, res) => {
    const view = viewFor(ports, req);
    const rows = await ports.subscriptions.list(sessionOf(req));
    const data = rows.map(({ subscription, feed }) => ({ ...subscriptionView(subscription), feed: view(feed) }));
    res.json({ success: true, data, count: data.length });
  });

  routes.put("/api/marketplace/subscriptions/:feedId/settings", session, json, async (req, res) => {
    const change = parseBody(SubscriptionSettingsRequest, req.body);
    if (!(await ports.subscriptions.configure(sessionOf(req), param(req, "feedId"), change))) throw refusal("SUBSCRIPTION_NOT_FOUND");
    res.json({ success: true, message: "Subscription updated" });
  });
}

function subscriptionView(row: SubscriptionRow): ApiSubscription {
  return {
    _id: row.id,
    userId: row.userId,
    feedId: row.feedId,
    subscribedAt: row.subscribedAt.toISOString(),
    isActive: row.isActive,
    ...(row.customPrompt === null || row.customPrompt === "" ? {} : { customPrompt: row.customPrompt }),
    ...(row.settings === null ? {} : { settings: row.settings }),
  };
}
