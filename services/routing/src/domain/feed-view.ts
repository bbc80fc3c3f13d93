/**
 * A feed as it leaves the service: to callers of the API (`feedView`, the owner sees more) and to all other services (`feedRecord`).
 * Member by member, so that nothing stored later can leave by accident; the order is the contract's. Pure; tests: feed-view.test.ts.
 */
import type { ApiFeed, FeedRecord, FeedSecrets, SealedBox } from "@headwater/protocol";
import { eventNameOf, type FeedContent, type FeedSettings, RECORD_DEFAULTS } from "./feed-content.ts";

/** A feed without its secrets in the clear. */
export interface StoredFeed extends Omit<FeedContent, "secrets"> {
  id: string;
  tenantId: string;
  userId: string;
  ownerName: string;
  isVerified: boolean;
  feedType: string;
  subscriberCount: number;
  /** Credentials as the owner wrote them. Undefined: there are none. */
  sealed: SealedBox | undefined;
  /** The same with the owner's secrets in place of references. Undefined: there is no reference. */
  resolved: SealedBox | undefined;
  createdAt: Date;
  updatedAt: Date;
  lastActiveAt: Date | undefined;
}

/** Visible to everyone, or the caller's own. Anything else does not exist for the caller. */
export function isVisible(feed: Pick<StoredFeed, "isPublic" | "tenantId">, tenantId: string | undefined): boolean {
  return feed.isPublic || feed.tenantId === tenantId;
}

/** @param secrets given for the owner only. */
export function feedView(feed: StoredFeed, secrets?: FeedSecrets): ApiFeed {
  const { settings } = feed;
  return {
    _id: feed.id,
    name: feed.name,
    description: feed.description,
    url: feed.url,
    category: feed.category,
    isActive: feed.isActive,
    isVerified: feed.isVerified,
    isPublic: feed.isPublic,
    feedType: feed.feedType === "system" ? "system" : "user",
    userId: feed.userId,
    ownerName: feed.ownerName,
    connectionType: settings.connectionType,
    connectionMessages: settings.connectionMessages,
    reconnectionEnabled: settings.reconnectionEnabled,
    subscriberCount: feed.subscriberCount,
    tags: feed.tags,
    enableTopicRouting: settings.enableTopicRouting,
    ...given(settings, PUBLIC),
    ...(secrets === undefined ? {} : ownerOnly(settings, secrets)),
    createdAt: feed.createdAt.toISOString(),
    updatedAt: feed.updatedAt.toISOString(),
    ...(feed.lastActiveAt === undefined ? {} : { lastActiveAt: feed.lastActiveAt.toISOString() }),
  };
}

const PUBLIC = [
  "topicField",
  "topicPrompts",
  "queryInterval",
  "defaultAIPrompt",
  "systemPrompt",
  "provider",
  "aiAnalysisEnabled",
  "icon",
  "website",
  "documentation",
  "eventName",
  "dataFormat",
  "protobufType",
  "connectionMessageDelayMs",
  "reconnectionDelay",
  "reconnectionAttempts",
  "pingIntervalMs",
  "readTimeoutMs",
  "bufferTtlMinutes",
] as const satisfies readonly (keyof FeedSettings)[];

function given<K extends keyof FeedSettings>(settings: FeedSettings, members: readonly K[]): Pick<FeedSettings, K> {
  // Members that are absent are optional ones: the result has the same type as its source.
  return Object.fromEntries(members.flatMap((member) => (settings[member] === undefined ? [] : [[member, settings[member]]]))) as Pick<
    FeedSettings,
    K
  >;
}

function ownerOnly(settings: FeedSettings, secrets: FeedSecrets): Partial<ApiFeed> {
  return {
    ...(secrets.queryParams.length === 0 ? {} : { queryParams: secrets.queryParams }),
    ...(secrets.headers.length === 0 ? {} : { headers: secrets.headers }),
    ...(secrets.httpConfig === undefined ? {} : { httpConfig: secrets.httpConfig }),
    ...(secrets.connectionMessage === undefined ? {} : { connectionMessage: secrets.connectionMessage }),
    ...given(settings, ["connectionMessageFormat", "protobufSchema"]),
  };
}

export function feedRecord(feed: StoredFeed): FeedRecord {
  const { settings } = feed;
  const sealed = feed.resolved ?? feed.sealed;
  return {
    id: feed.id,
    tenantId: feed.tenantId,
    userId: feed.userId,
    name: feed.name,
    eventName: eventNameOf(settings),
    isPublic: feed.isPublic,
    isActive: feed.isActive,
    hasSubscriptions: feed.subscriberCount > 0,
    url: feed.url,
    ...given(settings, [
      "connectionType",
      "connectionMessages",
      "reconnectionEnabled",
      "protobufType",
      "protobufSchema",
      "enableTopicRouting",
      "topicField",
      "topicPrompts",
      "queryInterval",
      "defaultAIPrompt",
      "systemPrompt",
      "provider",
    ]),
    connectionMessageDelayMs: settings.connectionMessageDelayMs ?? 0,
    reconnectionDelay: settings.reconnectionDelay ?? RECORD_DEFAULTS.reconnectionDelay,
    reconnectionAttempts: settings.reconnectionAttempts ?? 0,
    dataFormat: settings.dataFormat ?? (settings.connectionType === "protobuf" ? "protobuf" : "json"),
    pingIntervalMs: settings.pingIntervalMs ?? RECORD_DEFAULTS.pingIntervalMs,
    readTimeoutMs: settings.readTimeoutMs ?? RECORD_DEFAULTS.readTimeoutMs,
    ...(sealed === undefined ? {} : { sealed }),
    autoAnalysis: settings.aiAnalysisEnabled === true,
    bufferTtlMinutes: settings.bufferTtlMinutes || RECORD_DEFAULTS.bufferTtlMinutes,
    createdAt: feed.createdAt.toISOString(),
    updatedAt: feed.updatedAt.toISOString(),
  };
}
