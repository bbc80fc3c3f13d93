/**
 * What flows through a feed, over HTTP: push a message, test an upstream, the buffer of recent messages; for the owner also status and unrouted
 * messages. Messages travel as source text, never parsed here. Tests: ../marketplace-data.int.test.ts.
 */
import { ApiError, type ApiShell, bodyTextOf, maybeSessionOf, sessionOf } from "@headwater/api-http";
import { type FeedRecent, type FeedSummary, PushDataRequest, TestFeedBody, type TestFeedRequest } from "@headwater/protocol";
import { evaluateTopicField, parseDataPath, parseTopicField, selectJson } from "@headwater/topic-path";
import { createFeedContent, eventNameOf, type FeedContent } from "../domain/feed-content.ts";
import { feedRecord, type StoredFeed } from "../domain/feed-view.ts";
import { checkUrl, mine } from "./feed-routes.ts";
import {
  feedNotFound,
  limitOf,
  type MarketplacePorts,
  param,
  parseBody,
  query,
  refusedInput,
  sendJsonText,
  unavailable,
} from "./marketplace-ports.ts";
import { PeerAway, PushTooFast, PushTooLarge } from "./peers.ts";

const DEFAULT_BUFFER = 200;
const MAX_BUFFER = 1_000;

export function feedDataRoutes({ routes, session, json }: ApiShell, ports: MarketplacePorts): void {
  routes.post("/api/marketplace/feeds/:feedId/data", session, json, async (req, res) => {
    const feed = await ports.feeds.find(param(req, "feedId"), sessionOf(req).tenantId);
    if (!feed) throw new ApiError("FEED_NOT_FOUND", { message: "feed not found" });
    if (feed.tenantId !== sessionOf(req).tenantId) throw new ApiError("NOT_AUTHORIZED");
    const { eventName } = parseBody(PushDataRequest, req.body);
    const request = { feedId: feed.id, json: memberText(bodyTextOf(req), "data"), ...(eventName === undefined ? {} : { eventName }) };
    const { ts } = await reach(ports.upstreams.push(request));
    res.json({
      success: true,
      message: "Data submitted",
      data: {
        feedId: feed.id,
        feedName: feed.name,
        eventName: eventName ?? eventNameOf(feed.settings),
        timestamp: new Date(ts).toISOString(),
        subscribersNotified: true,
      },
    });
  });

  routes.post("/api/marketplace/test-feed", session, json, async (req, res) => {
    const { topicField, ...body } = parseBody(TestFeedBody, req.body);
    const applied = createFeedContent({ ...body, name: "test", ...(topicField === undefined || topicField === "" ? {} : { topicField }) });
    if (!applied.ok) throw refusedInput(applied);
    await checkUrl(ports, applied.content);
    const resolved = await ports.secrets.resolve(sessionOf(req).userId, applied.content);
    if (!resolved.ok) throw refusedInput(resolved);
    const answer = await reach(ports.upstreams.testFeed(testRequest({ ...applied.content, secrets: resolved.secrets })));
    if (!answer.ok) return void res.json({ success: false, message: answer.message });
    const topic = answer.sample === undefined ? undefined : topicIn(answer.sample, applied.content.settings.topicField);
    const members = [
      '"success":true',
      ...(answer.sample === undefined ? [] : [`"sample":${answer.sample}`]),
      ...(answer.latencyMs === undefined ? [] : [`"latencyMs":${JSON.stringify(answer.latencyMs)}`]),
      ...(topic === undefined ? [] : [`"topic":${JSON.stringify(topic)}`]),
    ];
    sendJsonText(res, `{"success":true,"data":{${members.join(",")}}}`);
  });

  routes.get("/api/marketplace/feeds/:id/buffer", session, async (req, res) => {
    const feed = await ports.feeds.find(param(req, "id"), sessionOf(req).tenantId);
    if (!feed) throw feedNotFound();
    const since = sinceOf(query(req, "since"));
    const limit = limitOf(req, DEFAULT_BUFFER, MAX_BUFFER);
    const { messages } = await reach(ports.topics.recent({ feedId: feed.id, limit, ...(since === undefined ? {} : { since }) }));
    // What has no topic is its owner's to debug, not everybody's to read.
    const shown = feed.tenantId === maybeSessionOf(req)?.tenantId ? messages : messages.filter(({ json: text }) => isRouted(text, feed));
    sendJsonText(res, `{"success":true,"data":[${shown.map((message) => bufferItem(feed, message)).join(",")}],"count":${shown.length}}`);
  });

  routes.get("/api/marketplace/feeds/:id/status", session, async (req, res) => {
    const feed = await mine(ports, param(req, "id"), sessionOf(req).tenantId);
    res.json({ success: true, data: statusView(await reach(ports.topics.summary(feed.id))) });
  });

  routes.get("/api/marketplace/feeds/:id/unrouted", session, async (req, res) => {
    const feed = await mine(ports, param(req, "id"), sessionOf(req).tenantId);
    const { messages } = await reach(ports.topics.unrouted(feed.id));
    const items = messages.map(({ ts, reason, element, json: text }) => {
      const head = JSON.stringify({ timestamp: new Date(ts).toISOString(), reason, element });
      return `${head.slice(0, -1)},"data":${text}}`;
    });
    sendJsonText(res, `{"success":true,"data":[${items.join(",")}],"count":${items.length}}`);
  });
}

async function reach<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof PushTooLarge) throw new ApiError("PAYLOAD_TOO_LARGE", {}, { cause: error });
    if (error instanceof PushTooFast)
      throw new ApiError("RATE_LIMITED", { headers: { "Retry-After": "1" }, fields: { error: "too_many_requests" } }, { cause: error });
    if (error instanceof PeerAway) throw unavailable(error);
    throw error;
  }
}

/** Source text of a member that validation has found. */
export function memberText(object: string, member: string): string {
  const path = parseDataPath(member);
  const text = path.ok ? selectJson(path.path, object) : undefined;
  if (text === undefined) throw new ApiError("INVALID_PAYLOAD");
  return text;
}

function testRequest({ url, settings, secrets }: FeedContent): TestFeedRequest {
  return {
    url,
    connectionType: settings.connectionType,
    connectionMessages: settings.connectionMessages,
    eventName: eventNameOf(settings),
    dataFormat: settings.dataFormat ?? (settings.connectionType === "protobuf" ? "protobuf" : "json"),
    ...(settings.protobufType === undefined ? {} : { protobufType: settings.protobufType }),
    ...(settings.protobufSchema === undefined ? {} : { protobufSchema: settings.protobufSchema }),
    secrets,
  };
}

/** The first topic of a message. */
function topicIn(json: string, topicField: string | undefined): string | undefined {
  const parsed = parseTopicField(topicField);
  if (!parsed.ok) return undefined;
  const routed = evaluateTopicField(parsed.path, json).find((entry) => "topic" in entry);
  return routed && "topic" in routed ? routed.topic : undefined;
}

function isRouted(json: string, { settings }: StoredFeed): boolean {
  if (!settings.enableTopicRouting) return true;
  const parsed = parseTopicField(settings.topicField);
  return parsed.ok && evaluateTopicField(parsed.path, json).every((entry) => "topic" in entry);
}

/** @returns undefined when absent. @throws ApiError when it is no time */
function sinceOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isNaN(ms)) throw new ApiError("INVALID_PAYLOAD");
  return ms;
}

function bufferItem(feed: StoredFeed, message: FeedRecent["messages"][number]): string {
  const { eventName, bufferTtlMinutes } = feedRecord(feed);
  const at = (ms: number): string => JSON.stringify(new Date(ms).toISOString());
  const name = JSON.stringify(message.eventName ?? eventName);
  return `{"_id":"${messageId(message)}","feedId":"${feed.id}","data":${message.json},"eventName":${name},"timestamp":${at(message.ts)},"expiresAt":${at(message.ts + bufferTtlMinutes * 60_000)}}`;
}

/** Stable and unique within the feed: seconds, sequence, line. */
function messageId({ ts, p: [seq, line] }: FeedRecent["messages"][number]): string {
  const hex = (value: number, width: number): string => value.toString(16).padStart(width, "0").slice(-width);
  return hex(Math.floor(ts / 1_000), 8) + hex(seq, 12) + hex(line, 4);
}

function statusView({ state, lastMessageAt, topics, ...counts }: FeedSummary) {
  return {
    status: state?.status ?? null,
    ...(state?.error === undefined ? {} : { error: state.error }),
    ...(state?.attempt === undefined ? {} : { attempt: state.attempt }),
    dropped: state?.dropped ?? {},
    lastMessageAt: lastMessageAt === null ? null : new Date(lastMessageAt).toISOString(),
    received: counts.received,
    routed: counts.routed,
    unrouted: counts.unrouted,
    topics: topics.map(({ topic, lastAt, count }) => ({ topic, lastAt: new Date(lastAt).toISOString(), count })),
    evicted: counts.evicted,
  };
}
