/**
 * Requests and answers of `/api/marketplace`, `/api/settings`, `/api/tools`, `/api/filters`: what validates is what is documented. Unknown and
 * read-only members of a request are ignored. An issue whose message begins a `FEED_MESSAGES` text is the contract's answer; any other is
 * `invalid payload`. Tests: services/routing/src/marketplace.int.test.ts.
 */
import { z } from "zod";
import { CONNECTION_TYPES, DATA_FORMATS, QUERY_INTERVALS, TopicPrompt } from "../feed-record.ts";

/** Refusals of the marketplace beside those of `API_ERRORS`: code → status and exact message. */
export const MARKETPLACE_ERRORS = {
  NAME_REQUIRED: { status: 400, message: "name is required" },
  URL_INVALID: { status: 400, message: "url is invalid" },
  URL_NOT_ALLOWED: { status: 400, message: "url is not allowed" },
  CONNECTION_TYPE_INVALID: { status: 400, message: "connectionType is invalid" },
  TOPIC_FIELD_REQUIRED: { status: 400, message: "topicField is required when enableTopicRouting is true" },
  QUERY_INTERVAL_INVALID: { status: 400, message: "queryInterval must be one of 5, 10, 30, 60" },
  PROTOBUF_SCHEMA_REQUIRED: { status: 400, message: "protobufSchema and protobufType are required for protobuf" },
  POLLING_INTERVAL_INVALID: { status: 400, message: "httpConfig.pollingInterval must be at least 1000" },
  READ_TIMEOUT_INVALID: { status: 400, message: "readTimeoutMs must be longer than pingIntervalMs" },
  FEED_TOO_LARGE: { status: 400, message: "feed is too large" },
  QUERY_REQUIRED: { status: 400, message: "query required" },
  INVALID_CURSOR: { status: 400, message: "invalid cursor" },
  INPUT_REQUIRED: { status: 400, message: "input is required" },
  CATEGORY_LIMIT_REACHED: { status: 403, message: "category limit reached" },
  SECRET_LIMIT_REACHED: { status: 403, message: "secret limit reached" },
  NOT_FOUND: { status: 404, message: "not found" },
  SUBSCRIPTION_NOT_FOUND: { status: 404, message: "subscription not found" },
  SECRET_NOT_FOUND: { status: 404, message: "secret not found" },
  CATEGORY_EXISTS: { status: 409, message: "category already exists" },
  SECRET_IN_USE: { status: 409, message: "secret is in use" },
} as const satisfies Record<string, { status: number; message: string }>;
export type MarketplaceErrorCode = keyof typeof MARKETPLACE_ERRORS;

/** `topicField is invalid: <reason>`, `httpConfig.dataPath is invalid: <reason>`. */
export const TOPIC_FIELD_INVALID = "topicField is invalid: ";
export const DATA_PATH_INVALID = "httpConfig.dataPath is invalid: ";
/** `secret not found: <name>`: a feed refers to a secret that its owner does not have. */
export const SECRET_UNKNOWN = "secret not found: ";

export const MAX_CONNECTION_MESSAGES = 100;
export const MAX_TOPIC_PROMPTS = 1_000;
export const MAX_USER_CATEGORIES = 100;
export const MAX_USER_SECRETS = 100;
export const MAX_SECRET_BYTES = 4_096;
/** Characters of one value of `headers`, `queryParams` and `httpConfig.requestHeaders`, also after its references are resolved. */
export const MAX_PAIR_VALUE = 8_192;
/** Pattern of a secret's name: `${secret:NAME}` in one of those values stands for it. */
export const SECRET_NAME = "[A-Za-z_][A-Za-z0-9_]{0,63}";

const m = MARKETPLACE_ERRORS;
/** Storable text: no NUL, no half of a surrogate pair. */
const text = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[^\0\p{Cs}]*$/u, "not storable text");
const id = z.string().describe("24 hex characters");
const time = z.string().describe("RFC 3339, UTC");
const done = z.object({ success: z.literal(true) });
const pair = z.object({ key: text(256), value: text(MAX_PAIR_VALUE) });
const pairs = z.array(pair).max(100);
const REFERENCES = "`${secret:NAME}` in a value stands for the secret of that name";

const TopicPromptInput = z.object({
  systemPrompt: text(8_000).optional(),
  question: text(4_000).optional(),
  userPrompt: text(8_000).optional(),
});

const ConnectionMessage = z.union([text(65_536), z.record(z.string(), z.unknown()), z.array(z.unknown())]);

export const HttpConfigInput = z.object({
  method: z
    .string()
    .regex(/^[A-Za-z]{1,16}$/)
    .optional()
    .describe("Default GET"),
  pollingInterval: z.number().int().max(86_400_000).min(1_000, m.POLLING_INTERVAL_INVALID.message).optional().describe("ms; default 5000"),
  timeout: z.number().int().min(100).max(60_000).optional().describe("ms; default 10000"),
  requestHeaders: z
    .union([pairs, z.record(text(256), text(MAX_PAIR_VALUE))])
    .optional()
    .describe(`Pairs or a map. ${REFERENCES}`),
  requestBody: text(65_536).optional(),
  responseFormat: text(50).optional(),
  dataPath: text(1_024).optional().describe("Topic field syntax, any negative index"),
  emitDuplicates: z.boolean().optional(),
});

/** What may be written, as it arrives. `null` clears what may be absent. */
const writable = {
  description: text(2_000),
  category: text(100),
  isActive: z.boolean(),
  isPublic: z.boolean(),
  connectionType: z
    .enum([...CONNECTION_TYPES, "http"], { error: m.CONNECTION_TYPE_INVALID.message })
    .describe("`http` is another name of `http-polling`"),
  connectionMessages: z
    .array(ConnectionMessage)
    .max(MAX_CONNECTION_MESSAGES)
    .nullable()
    .describe("Sent verbatim after connecting, in order"),
  connectionMessageDelayMs: z.number().int().min(0).max(60_000).nullable(),
  reconnectionEnabled: z.boolean(),
  reconnectionDelay: z.number().int().min(100).max(3_600_000).nullable().describe("First delay, ms"),
  reconnectionAttempts: z.number().int().min(0).max(1_000_000).nullable().describe("0 = for ever"),
  pingIntervalMs: z.number().int().min(1_000).max(600_000).nullable(),
  readTimeoutMs: z.number().int().min(1_000).max(3_600_000).nullable(),
  tags: z.array(text(50)).max(50).nullable(),
  enableTopicRouting: z.boolean(),
  topicField: z.unknown().describe("Which member of a message is its topic: `symbol`, `data.path[-1]`, `[3]`"),
  topicPrompts: z
    .record(text(256), TopicPromptInput)
    .refine((map) => Object.keys(map).length <= MAX_TOPIC_PROMPTS, "too many topics")
    .nullable()
    .describe("Replaces the whole map"),
  queryInterval: z.literal(QUERY_INTERVALS, { error: m.QUERY_INTERVAL_INVALID.message }).nullable().describe("Seconds"),
  defaultAIPrompt: text(8_000).nullable(),
  systemPrompt: text(8_000).nullable(),
  provider: text(50).nullable(),
  aiAnalysisEnabled: z.boolean().nullable(),
  icon: text(2_000).nullable(),
  website: text(2_000).nullable(),
  documentation: text(2_000).nullable(),
  queryParams: pairs.nullable().describe(`Seen by the owner only. ${REFERENCES}`),
  headers: pairs.nullable().describe(`Seen by the owner only. ${REFERENCES}`),
  httpConfig: HttpConfigInput.nullable().describe("Seen by the owner only"),
  connectionMessage: text(65_536).nullable().describe("Legacy; sent before `connectionMessages`"),
  connectionMessageFormat: text(50).nullable(),
  eventName: text(200).nullable(),
  dataFormat: z.enum(DATA_FORMATS).nullable(),
  protobufType: text(256).nullable(),
  protobufSchema: text(262_144).nullable().describe("Text of a .proto file"),
  bufferTtlMinutes: z.number().int().min(0).max(60).nullable().describe("0 = 30 minutes"),
} as const;

const name = text(200).transform((value, context) => {
  const trimmed = value.trim();
  if (trimmed !== "") return trimmed;
  context.addIssue(m.NAME_REQUIRED.message);
  return z.NEVER;
});
const url = text(4_096).describe("ws:, wss:; http:, https: for http-polling");

/** To create (`name` and `url` are needed) and to change (any subset). */
export const FeedRequest = z.object({ name: name.describe("1 to 200 characters"), url, ...writable }).partial();
export type FeedRequest = z.infer<typeof FeedRequest>;

export const AiPromptRequest = z.object({ defaultAIPrompt: text(8_000).describe("Empty = none") });
export const SubscriptionSettingsRequest = z.object({
  customPrompt: text(8_000).optional(),
  settings: z.object({ notifications: z.boolean().optional(), autoConnect: z.boolean().optional() }).optional(),
});
/** `data` is any JSON but null. */
export const PushDataRequest = z.object({
  data: z.unknown().refine((value) => value !== undefined && value !== null, "data is required"),
  eventName: text(200).optional(),
});
export const TestFeedBody = z.object({
  url,
  connectionType: writable.connectionType.optional(),
  eventName: text(200).optional(),
  queryParams: pairs.optional(),
  headers: pairs.optional(),
  connectionMessage: text(65_536).optional(),
  connectionMessageFormat: text(50).optional(),
  connectionMessages: z.array(ConnectionMessage).max(MAX_CONNECTION_MESSAGES).optional(),
  httpConfig: HttpConfigInput.optional(),
  dataFormat: z.enum(DATA_FORMATS).optional(),
  protobufType: text(256).optional(),
  protobufSchema: text(262_144).optional(),
  topicField: z.unknown().optional(),
});

export const ApiFeed = z.object({
  _id: id,
  name: z.string(),
  description: z.string(),
  url: z.string(),
  category: z.string(),
  isActive: z.boolean(),
  isVerified: z.boolean(),
  isPublic: z.boolean(),
  feedType: z.enum(["user", "system"]),
  userId: id,
  ownerName: z.string(),
  connectionType: z.enum(CONNECTION_TYPES),
  connectionMessages: z.array(z.string()),
  reconnectionEnabled: z.boolean(),
  subscriberCount: z.number().int(),
  tags: z.array(z.string()).nullable(),
  enableTopicRouting: z.boolean(),
  topicField: z.string().optional(),
  topicPrompts: z.record(z.string(), TopicPrompt).optional(),
  queryInterval: z.literal(QUERY_INTERVALS).optional(),
  defaultAIPrompt: z.string().optional(),
  systemPrompt: z.string().optional(),
  provider: z.string().optional(),
  aiAnalysisEnabled: z.literal(true).optional(),
  icon: z.string().optional(),
  website: z.string().optional(),
  documentation: z.string().optional(),
  queryParams: pairs.optional().describe("Owner only"),
  headers: pairs.optional().describe("Owner only"),
  httpConfig: z.record(z.string(), z.unknown()).optional().describe("Owner only"),
  connectionMessage: z.string().optional().describe("Owner only"),
  connectionMessageFormat: z.string().optional().describe("Owner only"),
  eventName: z.string().optional(),
  dataFormat: z.enum(DATA_FORMATS).optional(),
  protobufType: z.string().optional(),
  protobufSchema: z.string().optional().describe("Owner only"),
  connectionMessageDelayMs: z.number().int().optional(),
  reconnectionDelay: z.number().int().optional(),
  reconnectionAttempts: z.number().int().optional(),
  pingIntervalMs: z.number().int().optional(),
  readTimeoutMs: z.number().int().optional(),
  bufferTtlMinutes: z.number().int().optional(),
  createdAt: time,
  updatedAt: time,
  lastActiveAt: time.optional().describe("Last message of the upstream"),
});
export type ApiFeed = z.infer<typeof ApiFeed>;

/** `nextCursor` only when there is more. */
export const FeedsAnswer = z.object({
  count: z.number().int(),
  data: z.array(ApiFeed),
  success: z.literal(true),
  nextCursor: z.string().optional(),
});
export const FeedAnswer = done.extend({ data: ApiFeed });

export const ApiSubscription = z.object({
  _id: id,
  userId: id,
  feedId: id,
  subscribedAt: time,
  isActive: z.boolean(),
  customPrompt: z.string().optional(),
  settings: z.object({ notifications: z.boolean().optional(), autoConnect: z.boolean().optional() }).optional(),
  feed: ApiFeed.optional().describe("In lists"),
});
export type ApiSubscription = z.infer<typeof ApiSubscription>;
export const SubscribeAnswer = done.extend({ message: z.string(), subscription: ApiSubscription });
export const SubscriptionsAnswer = done.extend({ data: z.array(ApiSubscription), count: z.number().int() });

export const PushDataAnswer = done.extend({
  message: z.string(),
  data: z.object({
    feedId: id,
    feedName: z.string(),
    eventName: z.string(),
    timestamp: time,
    subscribersNotified: z.literal(true),
  }),
});
export const TestFeedAnswerBody = z.union([
  done.extend({
    data: z.object({
      success: z.literal(true),
      sample: z.unknown().optional().describe("First message"),
      latencyMs: z.number().optional(),
      topic: z.string().optional(),
    }),
  }),
  z.object({ success: z.literal(false), message: z.string() }),
]);
export const BufferAnswer = done.extend({
  data: z.array(z.object({ _id: id, feedId: id, data: z.unknown(), eventName: z.string(), timestamp: time, expiresAt: time })),
  count: z.number().int(),
});
export const FeedStatusAnswer = done.extend({
  data: z.object({
    status: z.string().nullable().describe("State of the upstream connection; null before the first"),
    error: z.string().optional(),
    attempt: z.number().int().optional(),
    dropped: z.record(z.string(), z.number().int()).describe("Messages not stored, by reason"),
    lastMessageAt: time.nullable(),
    received: z.number().int(),
    routed: z.number().int(),
    unrouted: z.record(z.string(), z.number().int()).describe("Messages without a topic, by reason"),
    topics: z.array(z.object({ topic: z.string(), lastAt: time, count: z.number().int() })),
    evicted: z.number().int(),
  }),
});
export const UnroutedAnswer = done.extend({
  data: z.array(z.object({ timestamp: time, reason: z.string(), element: z.number().int().optional(), data: z.unknown() })),
  count: z.number().int(),
});

export const FeedExample = z.object({
  name: z.string(),
  description: z.string(),
  url: z.string(),
  category: z.string(),
  connectionType: z.enum(CONNECTION_TYPES),
  connectionMessages: z.array(z.string()),
  enableTopicRouting: z.boolean(),
  topicField: z.string(),
});
export type FeedExample = z.infer<typeof FeedExample>;
export const FeedExamplesAnswer = done.extend({ data: z.array(FeedExample), count: z.number().int() });

export const Category = z.object({ key: z.string(), label: z.string(), scope: z.enum(["global", "user"]) });
export type Category = z.infer<typeof Category>;
export const CategoriesAnswer = done.extend({ categories: z.array(Category) });
export const CategoryAnswer = done.extend({ data: Category });
export const CategoryAvailableAnswer = done.extend({ available: z.boolean() });
const categoryKey = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,49}$/);
export const CreateCategoryRequest = z.object({ key: categoryKey, label: text(100).min(1) });
export const UpdateCategoryRequest = z.object({ label: text(100).min(1) });

/** A secret without its value: nobody is ever shown that. */
export const UserSecret = z.object({
  name: z.string().regex(new RegExp(`^${SECRET_NAME}$`)),
  createdAt: time,
  updatedAt: time.describe("When its value was set last"),
});
export type UserSecret = z.infer<typeof UserSecret>;
export const PutSecretRequest = z.object({
  value: z
    .string()
    .min(1)
    .max(MAX_SECRET_BYTES)
    .regex(/^[^\p{Cc}\p{Cs}]*$/u, "no control characters")
    .refine((value) => new TextEncoder().encode(value).byteLength <= MAX_SECRET_BYTES, "too many bytes")
    .describe(`1 to ${MAX_SECRET_BYTES} bytes of UTF-8 without control characters; is never shown again`),
});
export const UserSecretAnswer = done.extend({ data: UserSecret });
export const UserSecretsAnswer = done.extend({ data: z.array(UserSecret), count: z.number().int() });

export const NothingAnswer = done.extend({ data: z.array(z.never()) });

export const ConnectionMessagesRequest = z.object({ input: text(1_048_576).optional() });
export const ConnectionMessagesAnswer = done.extend({
  connectionMessages: z.array(z.string()),
  json: z.string().describe("The literal to paste into a request body"),
});
export const TopicFieldRequest = z.object({
  sample: z.unknown().refine((value) => value !== undefined, "sample is required"),
  find: z.union([z.string(), z.number(), z.boolean()]).describe("A key, or a value"),
});
export const TopicFieldAnswer = done.extend({
  candidates: z.array(z.object({ topicField: z.string(), topic: z.string(), reason: z.string() })),
});
