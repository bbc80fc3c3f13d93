/** What the routes work with, and the few things all of them do. Tests: ../marketplace.int.test.ts. */
import { ApiError, maybeSessionOf } from "@headwater/api-http";
import { MARKETPLACE_ERRORS, type MarketplaceErrorCode } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { Request, Response } from "express";
import type { z } from "zod";
import type { Refused } from "../domain/feed-content.ts";
import { feedView, type StoredFeed } from "../domain/feed-view.ts";
import type { CategoryStore } from "./category-store.ts";
import type { FeedLists } from "./feed-lists.ts";
import type { FeedStore } from "./feed-store.ts";
import type { TopicsPort, UpstreamPort } from "./peers.ts";
import type { SecretStore } from "./secret-store.ts";
import type { SubscriptionStore } from "./subscription-store.ts";

export interface MarketplacePorts {
  feeds: FeedStore;
  lists: FeedLists;
  subscriptions: SubscriptionStore;
  categories: CategoryStore;
  secrets: SecretStore;
  upstreams: UpstreamPort;
  topics: TopicsPort;
  /** Called after each committed change, before the answer: the registry follows. */
  applied(): Promise<void>;
  log: Logger;
}

/** An answer of MARKETPLACE_ERRORS, to be thrown. */
export function refusal(code: MarketplaceErrorCode): ApiError {
  return new ApiError(code, MARKETPLACE_ERRORS[code]);
}

export function refusedInput({ code, message }: Refused): ApiError {
  return new ApiError(code, { status: 400, message });
}

export function feedNotFound(): ApiError {
  return new ApiError("FEED_NOT_FOUND");
}

export function unavailable(cause: unknown): ApiError {
  return new ApiError("SERVICE_UNAVAILABLE", { headers: { "Retry-After": "1" } }, { cause });
}

/** A parameter of the path: always one text. */
export function param(req: Request, name: string): string {
  const value = req.params[name];
  return typeof value === "string" ? value : "";
}

/** First value of a query parameter that PostgreSQL can hold; undefined when it is absent. */
export function query(req: Request, name: string): string | undefined {
  const value = req.query[name];
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === "string" ? first.toWellFormed().replaceAll("\0", "\uFFFD") : undefined;
}

/** A count; anything that is none, or not positive, is the default. */
export function limitOf(req: Request, fallback: number, max: number): number {
  const text = query(req, "limit") ?? "";
  const given = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return given > 0 ? Math.min(given, max) : fallback;
}

/** The feed as this caller sees it. */
export function viewFor(ports: Pick<MarketplacePorts, "feeds">, req: Request): (feed: StoredFeed) => ReturnType<typeof feedView> {
  const tenantId = maybeSessionOf(req)?.tenantId;
  return (feed) => feedView(feed, feed.tenantId === tenantId ? ports.feeds.contentOf(feed).secrets : undefined);
}

/**
 * Validates a body. An issue with a message of the contract is answered with it; any other is `invalid payload`, which comes first, because
 * a body that is not understood says nothing.
 */
export function parseBody<S extends z.ZodType>(schema: S, body: unknown): z.infer<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const codes = parsed.error.issues.map(({ message }) => codeOf(message));
  const [first] = codes;
  throw first === undefined || codes.includes(undefined) ? new ApiError("INVALID_PAYLOAD") : refusal(first);
}

function codeOf(message: string): MarketplaceErrorCode | undefined {
  // The cast holds: these are the keys of the table.
  return (Object.keys(MARKETPLACE_ERRORS) as MarketplaceErrorCode[]).find((code) => MARKETPLACE_ERRORS[code].message === message);
}

/** Answers with JSON text that is not parsed on the way: numbers stay as the upstream wrote them. */
export function sendJsonText(res: Response, json: string): void {
  res.setHeader("Content-Type", "application/json; charset=utf-8");
  res.end(json);
}
