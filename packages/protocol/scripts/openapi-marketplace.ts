/** Operations of `/api/marketplace`, `/api/settings`, `/api/tools` and filters. Requests are described by the schemas that validate them (src/api/marketplace.ts). */
import { DATA_PATH_INVALID, SECRET_UNKNOWN, TOPIC_FIELD_INVALID } from "../src/index.ts";
import { type ApiOperation, type ApiRefusal, describeApi, inQuery } from "./openapi-api.ts";
import type { Described } from "./openapi-parts.ts";

const unknownSecret: ApiRefusal = { code: "SECRET_UNKNOWN", status: 400, message: `${SECRET_UNKNOWN}<name>` };
const written: ApiRefusal[] = [
  "NAME_REQUIRED",
  "URL_INVALID",
  "URL_NOT_ALLOWED",
  "CONNECTION_TYPE_INVALID",
  { code: "TOPIC_FIELD_INVALID", status: 400, message: `${TOPIC_FIELD_INVALID}<reason>` },
  "TOPIC_FIELD_REQUIRED",
  "QUERY_INTERVAL_INVALID",
  "PROTOBUF_SCHEMA_REQUIRED",
  "POLLING_INTERVAL_INVALID",
  { code: "DATA_PATH_INVALID", status: 400, message: `${DATA_PATH_INVALID}<reason>` },
  "FEED_TOO_LARGE",
  unknownSecret,
];
const owned: ApiRefusal[] = ["NOT_AUTHORIZED", "FEED_NOT_FOUND"];
const limit = (most: number, byDefault: number) =>
  inQuery("limit", `Default ${byDefault}, at most ${most}`, { type: "integer", minimum: 1, maximum: most, default: byDefault });
const category = inQuery("category", "Exactly this category");

const OPERATIONS: readonly ApiOperation[] = [
  {
    method: "get", path: "/api/marketplace/feeds", id: "listFeeds", summary: "Public feeds, newest first", auth: "optional", answer: "FeedsAnswer",
    parameters: [category, inQuery("q", "Only feeds whose name, description or tags contain this"), limit(200, 200), inQuery("cursor", "`nextCursor` of the page before")],
    errors: ["INVALID_CURSOR"],
  },
  {
    method: "get", path: "/api/marketplace/feeds/popular", id: "listPopularFeeds", summary: "Public feeds, most subscribed first", auth: "optional",
    answer: "FeedsAnswer", parameters: [limit(100, 10)],
  },
  {
    method: "get", path: "/api/marketplace/feeds/recent", id: "listRecentFeeds", summary: "Public feeds, newest first", auth: "optional",
    answer: "FeedsAnswer", parameters: [limit(100, 10)],
  },
  {
    method: "get", path: "/api/marketplace/feeds/search", id: "searchFeeds", summary: "Feeds whose name, description or tags contain a text; with a login also one's own private ones",
    auth: "optional", answer: "FeedsAnswer", errors: ["QUERY_REQUIRED"],
    parameters: [{ ...inQuery("q", "Taken literally, in any case"), required: true }, category, limit(200, 200)],
  },
  {
    method: "get", path: "/api/marketplace/feeds/{id}", id: "getFeed", summary: "One feed; its owner sees secrets too", auth: "optional",
    answer: "FeedAnswer", errors: ["FEED_NOT_FOUND"],
  },
  {
    method: "post", path: "/api/marketplace/feeds", id: "createFeed", summary: "Create a feed and subscribe to it", auth: "session",
    body: "FeedRequest", status: 201, answer: "FeedAnswer", errors: [...written, "FEED_LIMIT_REACHED"],
  },
  {
    method: "put", path: "/api/marketplace/feeds/{id}", id: "updateFeed", summary: "Change some members of a feed; takes effect at once", auth: "session",
    body: "FeedRequest", answer: "FeedAnswer", errors: ["INVALID_ID", ...written, ...owned],
  },
  {
    method: "delete", path: "/api/marketplace/feeds/{id}", id: "deleteFeed", summary: "Delete a feed, its subscriptions and its connection", auth: "session",
    answer: "MessageAnswer", errors: ["INVALID_ID", ...owned],
  },
  {
    method: "put", path: "/api/marketplace/feeds/{id}/ai-prompt", id: "setFeedPrompt", summary: "Set the default prompt of a feed", auth: "session",
    body: "AiPromptRequest", answer: "FeedAnswer", errors: [...owned],
  },
  {
    method: "get", path: "/api/marketplace/feeds/{id}/status", id: "getFeedStatus", summary: "Connection, counters and live topics of one's own feed",
    auth: "session", answer: "FeedStatusAnswer", errors: owned,
  },
  {
    method: "get", path: "/api/marketplace/feeds/{id}/unrouted", id: "listUnrouted", summary: "The last messages of one's own feed that had no topic",
    auth: "session", answer: "UnroutedAnswer", errors: owned,
  },
  {
    method: "get", path: "/api/marketplace/feeds/{id}/buffer", id: "getFeedBuffer", summary: "Recent messages of a feed, newest first", auth: "session",
    answer: "BufferAnswer", parameters: [inQuery("since", "RFC 3339 time or ms since epoch"), limit(1_000, 200)], errors: ["INVALID_PAYLOAD", "FEED_NOT_FOUND"],
  },
  {
    method: "post", path: "/api/marketplace/feeds/{feedId}/data", id: "pushFeedData", summary: "Push one message into one's own feed", auth: "session",
    body: "PushDataRequest", answer: "PushDataAnswer", errors: ["NOT_AUTHORIZED", { code: "FEED_NOT_FOUND", status: 404, message: "feed not found" }],
  },
  {
    method: "get", path: "/api/marketplace/my-feeds", id: "listMyFeeds", summary: "One's own feeds", auth: "session", answer: "FeedsAnswer",
  },
  {
    method: "post", path: "/api/marketplace/test-feed", id: "testFeed", summary: "Connect once and show the first message; a failure is also answered 200",
    auth: "session", body: "TestFeedBody", answer: "TestFeedAnswerBody", errors: [unknownSecret],
  },
  {
    method: "get", path: "/api/marketplace/examples", id: "listFeedExamples", summary: "Ready-made bodies for creating a feed", auth: "none",
    answer: "FeedExamplesAnswer",
  },
  {
    method: "post", path: "/api/marketplace/subscribe/{feedId}", id: "subscribe", summary: "Subscribe to a feed; a second time changes nothing", auth: "session",
    answer: "SubscribeAnswer", errors: ["FEED_NOT_FOUND"],
  },
  {
    method: "post", path: "/api/marketplace/unsubscribe/{feedId}", id: "unsubscribe", summary: "End a subscription, if there is one", auth: "session",
    answer: "MessageAnswer",
  },
  {
    method: "get", path: "/api/marketplace/subscriptions", id: "listSubscriptions", summary: "Active subscriptions with their feeds", auth: "session",
    answer: "SubscriptionsAnswer",
  },
  {
    method: "put", path: "/api/marketplace/subscriptions/{feedId}/settings", id: "updateSubscription", summary: "Change prompt and settings of a subscription",
    auth: "session", body: "SubscriptionSettingsRequest", answer: "MessageAnswer", errors: ["SUBSCRIPTION_NOT_FOUND"],
  },
  { method: "get", path: "/api/settings/categories", id: "listCategories", summary: "Categories of feeds", auth: "optional", answer: "CategoriesAnswer" },
  { method: "get", path: "/api/settings/all", id: "listSettings", summary: "The same as categories", auth: "optional", answer: "CategoriesAnswer" },
  {
    method: "get", path: "/api/settings/categories/{key}", id: "getCategory", summary: "One category", auth: "optional", answer: "CategoryAnswer",
    errors: ["NOT_FOUND"],
  },
  {
    method: "get", path: "/api/settings/user/categories", id: "listOwnCategories", summary: "One's own categories", auth: "session", answer: "CategoriesAnswer",
  },
  {
    method: "post", path: "/api/settings/user/categories", id: "createOwnCategory", summary: "Create a category of one's own", auth: "session",
    body: "CreateCategoryRequest", status: 201, answer: "CategoryAnswer", errors: ["CATEGORY_LIMIT_REACHED", "CATEGORY_EXISTS"],
  },
  {
    method: "get", path: "/api/settings/user/categories/{key}", id: "getOwnCategory", summary: "One category of one's own", auth: "session",
    answer: "CategoryAnswer", errors: ["NOT_FOUND"],
  },
  {
    method: "put", path: "/api/settings/user/categories/{key}", id: "updateOwnCategory", summary: "Rename a category of one's own", auth: "session",
    body: "UpdateCategoryRequest", answer: "CategoryAnswer", errors: ["NOT_FOUND"],
  },
  {
    method: "delete", path: "/api/settings/user/categories/{key}", id: "deleteOwnCategory", summary: "Delete a category of one's own", auth: "session",
    answer: "DoneAnswer", errors: ["NOT_FOUND"],
  },
  {
    method: "get", path: "/api/settings/user/categories/check/{key}", id: "checkCategory", summary: "Whether a key is free", auth: "session",
    answer: "CategoryAvailableAnswer",
  },
  {
    method: "get", path: "/api/settings/user/secrets", id: "listSecrets", summary: "Names of one's own secrets for upstreams; never a value",
    auth: "session", answer: "UserSecretsAnswer",
  },
  {
    method: "put", path: "/api/settings/user/secrets/{name}", id: "putSecret",
    summary: "Set a secret; feeds that refer to it connect anew when its value is another one", auth: "session",
    body: "PutSecretRequest", answer: "UserSecretAnswer", errors: ["FEED_TOO_LARGE", "SECRET_LIMIT_REACHED"],
  },
  {
    method: "delete", path: "/api/settings/user/secrets/{name}", id: "deleteSecret", summary: "Delete a secret that no feed refers to", auth: "session",
    answer: "DoneAnswer", errors: ["SECRET_NOT_FOUND", "SECRET_IN_USE"],
  },
  { method: "get", path: "/api/filters", id: "listFilters", summary: "Saved filters: none yet", auth: "none", answer: "NothingAnswer" },
  { method: "get", path: "/api/filter-presets", id: "listFilterPresets", summary: "Filter presets: none yet", auth: "none", answer: "NothingAnswer" },
  {
    method: "post", path: "/api/tools/connection-messages", id: "convertConnectionMessages", summary: "Text into the `connectionMessages` of a feed", auth: "none",
    body: "ConnectionMessagesRequest", answer: "ConnectionMessagesAnswer", errors: ["INPUT_REQUIRED"],
  },
  {
    method: "post", path: "/api/tools/topic-field", id: "findTopicField", summary: "Topic fields that find a key or a value in a sample", auth: "none",
    body: "TopicFieldRequest", answer: "TopicFieldAnswer",
  },
]; // biome-ignore format: one operation after another

export const MARKETPLACE_OPERATIONS: readonly Described[] = OPERATIONS.map(describeApi);
