/** Server messages of `/ws` as text; data frames come ready from the log. Tests: feeds-table.int.test.ts holds each against SocketServerMessage. */
import { SOCKET_ERRORS, type TokenUsage, TOPIC_FEED_NOTE } from "@headwater/protocol";
import type { Echo } from "../../domain/socket-message.ts";

export type SubscriptionType = "feed-data" | "topic" | "llm-only" | "all";

/** Error frames whose payload is `{error, …echo}`. */
export type ErrorType =
  | "auth_error"
  | "registration-error"
  | "subscription-error"
  | "unsubscription-error"
  | "llm-error"
  | "ai-error"
  | "universal-ai-error"
  | "error";

const frame = (type: string, payload: object): string => JSON.stringify({ type, payload });

export const socketFrames = {
  pong: '{"type":"pong"}',
  resumed: '{"type":"resumed","payload":{}}',
  invalidJson: frame("error", { message: SOCKET_ERRORS.invalid_json }),
  unknownEvent: frame("error", { message: SOCKET_ERRORS.unknown_event }),
  authenticated: (userId: string, authType: "apikey" | "jwt", session?: { sessionId: string; restored: number }): string =>
    frame("authenticated", { userId, authType, ...session }),
  registered: (userId: string): string => frame("registration-success", { userId, message: "connected" }),
  subscribed: (feedId: string, topic: string | undefined, type: SubscriptionType, isTopicFeed: boolean): string =>
    frame("subscription-success", { feedId, topic, type, ...(isTopicFeed ? { note: TOPIC_FEED_NOTE } : {}) }),
  unsubscribed: (feedId: string, topic?: string): string => frame("unsubscription-success", { feedId, topic }),
  error: (type: ErrorType, error: string, echo: Echo = {}): string => frame(type, { error, ...echo }),
  feedDeleted: (feedId: string): string => frame("feed-deleted", { feedId }),
  gap: (feedId: string, topic: string | undefined, reason: "retention" | "slow_consumer", dropped?: number): string =>
    frame("gap", { feedId, topic, reason, dropped }),
  autoAnalysisToggled: (feedId: string, enabled: boolean): string => frame("auto-analysis-toggled", { feedId, enabled }),
  tokenUsage: (usage: TokenUsage): string => frame("token-usage-update", usage),
  of: frame,
} as const;
