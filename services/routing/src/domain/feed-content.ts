/**
 * What an owner may say about a feed, and how a request changes it. Pure: `applyFeedRequest` merges a validated request into what is stored
 * and checks what only holds for the whole. Tests: feed-content.test.ts.
 */
import {
  type ConnectionType,
  DATA_PATH_INVALID,
  type DataFormat,
  type FeedRequest,
  type FeedSecrets,
  type HttpPolling,
  MARKETPLACE_ERRORS,
  type MarketplaceErrorCode,
  TOPIC_FIELD_INVALID,
  type TopicPrompt,
} from "@headwater/protocol";
import { parseDataPath, parseTopicField } from "@headwater/topic-path";

/** Stored as one document beside the columns that are searched. An absent member was never set. */
export interface FeedSettings {
  connectionType: ConnectionType;
  connectionMessages: string[];
  reconnectionEnabled: boolean;
  enableTopicRouting: boolean;
  topicField?: string;
  topicPrompts?: Record<string, TopicPrompt>;
  queryInterval?: 5 | 10 | 30 | 60;
  defaultAIPrompt?: string;
  systemPrompt?: string;
  provider?: string;
  aiAnalysisEnabled?: true;
  icon?: string;
  website?: string;
  documentation?: string;
  connectionMessageFormat?: string;
  eventName?: string;
  dataFormat?: DataFormat;
  protobufType?: string;
  protobufSchema?: string;
  connectionMessageDelayMs?: number;
  reconnectionDelay?: number;
  reconnectionAttempts?: number;
  pingIntervalMs?: number;
  readTimeoutMs?: number;
  bufferTtlMinutes?: number;
}

export interface FeedContent {
  name: string;
  description: string;
  url: string;
  category: string;
  isActive: boolean;
  isPublic: boolean;
  /** Null: never set. */
  tags: string[] | null;
  settings: FeedSettings;
  /** Upstream credentials as the owner wrote them (secret-references.ts): stored sealed, shown to the owner only. */
  secrets: FeedSecrets;
}

export type Refused = { ok: false; code: string; message: string };
export type Applied = { ok: true; content: FeedContent } | Refused;

export const MAX_CONTENT_BYTES = 512 * 1024;
const MIN_READ_OVER_PING = 1;
const DEFAULT_PING_MS = 30_000;
const DEFAULT_READ_TIMEOUT_MS = 60_000;

export const EMPTY_SECRETS: FeedSecrets = { queryParams: [], headers: [] };

const BLANK: FeedContent = {
  name: "",
  description: "",
  url: "",
  category: "",
  isActive: true,
  isPublic: false,
  tags: null,
  settings: { connectionType: "websocket", connectionMessages: [], reconnectionEnabled: true, enableTopicRouting: false },
  secrets: EMPTY_SECRETS,
};

export function createFeedContent(request: FeedRequest): Applied {
  return applyFeedRequest(BLANK, request);
}

/** @returns a new content; `before` stays as it is. */
export function applyFeedRequest(before: FeedContent, request: FeedRequest): Applied {
  const topicField = topicFieldOf(before, request);
  if (!topicField.ok) return topicField;
  const secrets = secretsOf(before.secrets, request);
  if (!secrets.ok) return secrets;
  const content: FeedContent = {
    name: request.name ?? before.name,
    description: request.description ?? before.description,
    url: request.url?.trim() ?? before.url,
    category: request.category?.trim() ?? before.category,
    isActive: request.isActive ?? before.isActive,
    isPublic: request.isPublic ?? before.isPublic,
    tags: request.tags === undefined ? before.tags : tagsOf(request.tags),
    settings: settingsOf(before.settings, request, topicField.value),
    secrets: secrets.value,
  };
  const problem = problemOf(content);
  return problem === undefined ? { ok: true, content } : refused(problem);
}

export function connectionTypeOf(given: FeedRequest["connectionType"]): ConnectionType | undefined {
  return given === "http" ? "http-polling" : given;
}

/** Trimmed, blank ones dropped; an object or array in place of its text is minified. */
export function connectionMessagesOf(given: FeedRequest["connectionMessages"]): string[] {
  return (given ?? []).map((entry) => (typeof entry === "string" ? entry.trim() : JSON.stringify(entry))).filter((entry) => entry !== "");
}

/** Socket.IO has a name for every event; the other connections have none. */
export function eventNameOf(settings: Pick<FeedSettings, "eventName" | "connectionType">): string {
  return settings.eventName ?? (settings.connectionType === "socketio" ? "message" : "");
}

export function pollingOf(given: NonNullable<FeedRequest["httpConfig"]>): { ok: true; value: HttpPolling } | Refused {
  const path = given.dataPath === undefined || given.dataPath === "" ? undefined : parseDataPath(given.dataPath);
  if (path !== undefined && !path.ok) return { ok: false, code: "DATA_PATH_INVALID", message: `${DATA_PATH_INVALID}${path.reason}` };
  const pairs = Array.isArray(given.requestHeaders)
    ? given.requestHeaders.map(({ key, value }) => [key, value] as const)
    : Object.entries(given.requestHeaders ?? {});
  return {
    ok: true,
    value: {
      method: (given.method ?? "GET").toUpperCase(),
      pollingInterval: given.pollingInterval ?? 5_000,
      timeout: given.timeout ?? 10_000,
      requestHeaders: Object.fromEntries(pairs.filter(([key]) => key.trim() !== "")),
      ...(given.requestBody === undefined ? {} : { requestBody: given.requestBody }),
      ...(given.responseFormat === undefined ? {} : { responseFormat: given.responseFormat }),
      ...(path === undefined ? {} : { dataPath: path.path.source }),
      emitDuplicates: given.emitDuplicates ?? false,
    },
  };
}

function topicFieldOf(before: FeedContent, request: FeedRequest): { ok: true; value: string | undefined } | Refused {
  if (request.topicField === undefined) return { ok: true, value: before.settings.topicField };
  if (request.topicField === null) return { ok: true, value: undefined };
  const parsed = parseTopicField(request.topicField);
  if (parsed.ok) return { ok: true, value: parsed.path.source };
  return { ok: false, code: "TOPIC_FIELD_INVALID", message: `${TOPIC_FIELD_INVALID}${parsed.reason}` };
}

function secretsOf(before: FeedSecrets, request: FeedRequest): { ok: true; value: FeedSecrets } | Refused {
  let httpConfig = before.httpConfig;
  if (request.httpConfig === null) httpConfig = undefined;
  else if (request.httpConfig !== undefined) {
    const polling = pollingOf(request.httpConfig);
    if (!polling.ok) return polling;
    httpConfig = polling.value;
  }
  const connectionMessage = request.connectionMessage === undefined ? before.connectionMessage : request.connectionMessage || undefined;
  return {
    ok: true,
    value: {
      queryParams: request.queryParams === undefined ? before.queryParams : (request.queryParams ?? []),
      headers: request.headers === undefined ? before.headers : (request.headers ?? []),
      ...(httpConfig === undefined ? {} : { httpConfig }),
      ...(connectionMessage === undefined ? {} : { connectionMessage }),
    },
  };
}

/** Members that are set, replaced or cleared without looking at any other. */
const PLAIN = [
  "topicPrompts",
  "queryInterval",
  "defaultAIPrompt",
  "systemPrompt",
  "provider",
  "icon",
  "website",
  "documentation",
  "connectionMessageFormat",
  "eventName",
  "dataFormat",
  "protobufType",
  "protobufSchema",
  "connectionMessageDelayMs",
  "reconnectionDelay",
  "reconnectionAttempts",
  "pingIntervalMs",
  "readTimeoutMs",
  "bufferTtlMinutes",
] as const satisfies readonly (keyof FeedSettings & keyof FeedRequest)[];

function settingsOf(before: FeedSettings, request: FeedRequest, topicField: string | undefined): FeedSettings {
  const { topicField: _before, aiAnalysisEnabled: wasAnalysed, ...rest } = before;
  const isAnalysed = request.aiAnalysisEnabled === undefined ? wasAnalysed === true : request.aiAnalysisEnabled === true;
  const settings: FeedSettings = {
    ...rest,
    connectionType: connectionTypeOf(request.connectionType) ?? before.connectionType,
    connectionMessages:
      request.connectionMessages === undefined ? before.connectionMessages : connectionMessagesOf(request.connectionMessages),
    reconnectionEnabled: request.reconnectionEnabled ?? before.reconnectionEnabled,
    enableTopicRouting: request.enableTopicRouting ?? before.enableTopicRouting,
    ...(topicField === undefined ? {} : { topicField }),
    ...(isAnalysed ? { aiAnalysisEnabled: true as const } : {}),
  };
  for (const member of PLAIN) assign(settings, member, request[member]);
  return settings;
}

function assign<K extends (typeof PLAIN)[number]>(settings: FeedSettings, member: K, given: FeedRequest[K]): void {
  if (given === undefined) return;
  if (given === null || given === "") delete settings[member];
  // The schema of the request gives both the same type, but for null.
  else settings[member] = given as NonNullable<FeedSettings[K]>;
}

/** Trimmed, blank and repeated ones dropped. */
function tagsOf(tags: readonly string[] | null): string[] | null {
  return tags === null ? null : [...new Set(tags.map((tag) => tag.trim()).filter((tag) => tag !== ""))];
}

function problemOf({ name, url, settings, secrets }: FeedContent): MarketplaceErrorCode | undefined {
  if (name === "") return "NAME_REQUIRED";
  if (url === "") return "URL_INVALID";
  if (settings.enableTopicRouting && settings.topicField === undefined) return "TOPIC_FIELD_REQUIRED";
  const isProtobuf = settings.connectionType === "protobuf" || settings.dataFormat === "protobuf";
  if (isProtobuf && (settings.protobufSchema === undefined || settings.protobufType === undefined)) return "PROTOBUF_SCHEMA_REQUIRED";
  // A deadline before the first ping would end every quiet connection.
  const overPing = (settings.readTimeoutMs ?? DEFAULT_READ_TIMEOUT_MS) - (settings.pingIntervalMs ?? DEFAULT_PING_MS);
  if (overPing < MIN_READ_OVER_PING) return "READ_TIMEOUT_INVALID";
  if (isTooLarge(settings, secrets)) return "FEED_TOO_LARGE";
  return undefined;
}

export function isTooLarge(settings: FeedSettings, secrets: FeedSecrets): boolean {
  return utf8Length(JSON.stringify([settings, secrets])) > MAX_CONTENT_BYTES;
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).byteLength;
}

export function refused(code: MarketplaceErrorCode): Refused {
  return { ok: false, code, message: MARKETPLACE_ERRORS[code].message };
}

/** What the record says when the owner said nothing. */
export const RECORD_DEFAULTS = {
  pingIntervalMs: DEFAULT_PING_MS,
  readTimeoutMs: DEFAULT_READ_TIMEOUT_MS,
  reconnectionDelay: 1_000,
  bufferTtlMinutes: 30,
} as const;
