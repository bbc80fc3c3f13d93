/**
 * `/api/marketplace/feeds`: lists, search, one feed, create, change, delete. A feed that the caller may not see is answered exactly like one
 * that never was. Tests: ../marketplace.int.test.ts, ../marketplace-lists.int.test.ts.
 */
import { ApiError, type ApiShell, maybeSessionOf, sessionOf } from "@headwater/api-http";
import { AiPromptRequest, type ConnectionType, FeedRequest, isObjectId } from "@headwater/protocol";
import type { Response } from "express";
import { applyFeedRequest, createFeedContent, type FeedContent } from "../domain/feed-content.ts";
import { feedView, type StoredFeed } from "../domain/feed-view.ts";
import type { ListPlace } from "./feed-lists.ts";
import type { NotMine } from "./feed-store.ts";
import {
  feedNotFound,
  limitOf,
  type MarketplacePorts,
  param,
  parseBody,
  query,
  refusal,
  refusedInput,
  viewFor,
} from "./marketplace-ports.ts";

const MAX_LISTED = 200;
const MAX_RANKED = 100;
const DEFAULT_RANKED = 10;

export function feedRoutes({ routes, session, maybeSession, json }: ApiShell, ports: MarketplacePorts): void {
  const list = (res: Response, view: (feed: StoredFeed) => unknown, feeds: readonly StoredFeed[], more: object = {}): void => {
    res.json({ count: feeds.length, data: feeds.map(view), success: true, ...more });
  };

  routes.get("/api/marketplace/feeds", maybeSession, async (req, res) => {
    const limit = limitOf(req, MAX_LISTED, MAX_LISTED);
    const given = query(req, "cursor");
    const after = given === undefined || given === "" ? undefined : decodePlace(given);
    if (after === null) throw refusal("INVALID_CURSOR");
    const found = await ports.lists.newest({ category: category(query(req, "category")), q: words(query(req, "q")), limit }, after);
    const page = found.slice(0, limit);
    const last = page.at(-1);
    list(res, viewFor(ports, req), page, found.length > limit && last ? { nextCursor: encodePlace(last) } : {});
  });

  routes.get("/api/marketplace/feeds/popular", maybeSession, async (req, res) => {
    list(res, viewFor(ports, req), await ports.lists.popular(limitOf(req, DEFAULT_RANKED, MAX_RANKED)));
  });

  routes.get("/api/marketplace/feeds/recent", maybeSession, async (req, res) => {
    const found = await ports.lists.newest({ limit: limitOf(req, DEFAULT_RANKED, MAX_RANKED) });
    list(res, viewFor(ports, req), found.slice(0, limitOf(req, DEFAULT_RANKED, MAX_RANKED)));
  });

  routes.get("/api/marketplace/feeds/search", maybeSession, async (req, res) => {
    const q = words(query(req, "q"));
    if (q === undefined) throw refusal("QUERY_REQUIRED");
    const filter = { q, category: category(query(req, "category")), limit: limitOf(req, MAX_LISTED, MAX_LISTED) };
    list(res, viewFor(ports, req), await ports.lists.search(filter, maybeSessionOf(req)?.tenantId));
  });

  routes.get("/api/marketplace/my-feeds", session, async (req, res) => {
    const feeds = await ports.lists.ofTenant(sessionOf(req).tenantId);
    res.json({ success: true, data: feeds.map(viewFor(ports, req)), count: feeds.length });
  });

  routes.get("/api/marketplace/feeds/:id", maybeSession, async (req, res) => {
    const feed = await ports.feeds.find(param(req, "id"), maybeSessionOf(req)?.tenantId);
    if (!feed) throw feedNotFound();
    res.json({ success: true, data: viewFor(ports, req)(feed) });
  });

  routes.post("/api/marketplace/feeds", session, json, async (req, res) => {
    const created = createFeedContent(parseBody(FeedRequest, req.body));
    if (!created.ok) throw refusedInput(created);
    await checkUrl(ports, created.content);
    const stored = await ports.feeds.create(sessionOf(req), created.content);
    if (!stored.ok) throw "message" in stored ? refusedInput(stored) : new ApiError("FEED_LIMIT_REACHED");
    const { feed } = stored;
    await ports.applied();
    ports.log.info({ feedId: feed.id, tenantId: feed.tenantId }, "routing.feed_created");
    // The contract's answer is the feed as it was before its owner's subscription.
    res.status(201).json({ data: feedView({ ...feed, subscriberCount: 0 }, created.content.secrets), success: true });
  });

  routes.put("/api/marketplace/feeds/:id", session, json, async (req, res) => {
    const id = param(req, "id");
    if (!isObjectId(id)) throw new ApiError("INVALID_ID");
    const before = await mine(ports, id, sessionOf(req).tenantId);
    const request = parseBody(FeedRequest, req.body);
    const content = ports.feeds.contentOf(before);
    const intended = applyFeedRequest(content, request);
    if (!intended.ok) throw refusedInput(intended);
    if (connectsElsewhere(content, intended.content)) await checkUrl(ports, intended.content);
    await change(id, sessionOf(req).tenantId, (stored) => applyFeedRequest(stored, request), res);
  });

  routes.put("/api/marketplace/feeds/:id/ai-prompt", session, json, async (req, res) => {
    const id = param(req, "id");
    await mine(ports, id, sessionOf(req).tenantId);
    const request = parseBody(AiPromptRequest, req.body);
    await change(id, sessionOf(req).tenantId, (stored) => applyFeedRequest(stored, request), res);
  });

  routes.delete("/api/marketplace/feeds/:id", session, async (req, res) => {
    const id = param(req, "id");
    if (!isObjectId(id)) throw new ApiError("INVALID_ID");
    const removed = await ports.feeds.remove(id, sessionOf(req).tenantId);
    if (!removed.ok) throw notMine(removed);
    await ports.applied();
    ports.log.info({ feedId: id }, "routing.feed_deleted");
    res.json({ success: true, message: "Feed deleted" });
  });

  async function change(id: string, tenantId: string, apply: Parameters<typeof ports.feeds.update>[2], res: Response): Promise<void> {
    const updated = await ports.feeds.update(id, tenantId, apply);
    if (!updated.ok) throw "message" in updated ? refusedInput(updated) : notMine(updated);
    await ports.applied();
    res.json({ success: true, data: feedView(updated.feed, ports.feeds.contentOf(updated.feed).secrets) });
  }
}

/** @throws ApiError 404 when the caller may not see the feed, 403 when it is somebody else's. */
export async function mine(ports: Pick<MarketplacePorts, "feeds">, id: string, tenantId: string): Promise<StoredFeed> {
  const feed = await ports.feeds.find(id, tenantId);
  if (!feed) throw feedNotFound();
  if (feed.tenantId !== tenantId) throw notMine({ ok: false, code: "foreign" });
  return feed;
}

/** @throws ApiError `url is invalid` | `url is not allowed` */
export async function checkUrl(
  ports: Pick<MarketplacePorts, "upstreams">,
  { url, settings }: { url: string; settings: { connectionType: ConnectionType } },
): Promise<void> {
  const verdict = await ports.upstreams.checkUrl({ url, connectionType: settings.connectionType });
  if (verdict === "invalid") throw refusal("URL_INVALID");
  if (verdict === "forbidden") throw refusal("URL_NOT_ALLOWED");
}

function notMine({ code }: NotMine): ApiError {
  return code === "foreign" ? new ApiError("NOT_AUTHORIZED") : feedNotFound();
}

function connectsElsewhere(before: FeedContent, after: FeedContent): boolean {
  return before.url !== after.url || before.settings.connectionType !== after.settings.connectionType;
}

/** An absent or empty category is every category. */
function category(given: string | undefined): string | undefined {
  return given === "" ? undefined : given;
}

function words(given: string | undefined): string | undefined {
  const trimmed = given?.trim();
  return trimmed === "" ? undefined : trimmed;
}

function encodePlace({ createdAt, id }: ListPlace): string {
  return Buffer.from(`${createdAt.getTime()}.${id}`).toString("base64url");
}

/** Null when it is no cursor of ours. */
function decodePlace(cursor: string): ListPlace | null {
  const [, ms, id] = /^(\d{1,15})\.([0-9a-f]{24})$/.exec(Buffer.from(cursor, "base64url").toString("latin1")) ?? [];
  return ms === undefined || id === undefined ? null : { createdAt: new Date(Number(ms)), id };
}
