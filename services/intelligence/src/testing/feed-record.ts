/** A feed as the registry tells it, for tests. */
import type { FeedRecord } from "@headwater/protocol";

export function feedRecord(id: string, change: Partial<FeedRecord> = {}): FeedRecord {
  return {
    id,
    tenantId: "alice",
    userId: "u-alice",
    name: `feed ${id}`,
    eventName: "message",
    isPublic: true,
    isActive: true,
    hasSubscriptions: false,
    connectionType: "websocket",
    url: "wss://feed.example.com",
    connectionMessages: [],
    connectionMessageDelayMs: 0,
    reconnectionEnabled: true,
    reconnectionDelay: 1_000,
    reconnectionAttempts: 0,
    dataFormat: "json",
    pingIntervalMs: 30_000,
    readTimeoutMs: 60_000,
    enableTopicRouting: true,
    topicField: "s",
    autoAnalysis: false,
    bufferTtlMinutes: 30,
    createdAt: "",
    updatedAt: "",
    ...change,
  };
}
