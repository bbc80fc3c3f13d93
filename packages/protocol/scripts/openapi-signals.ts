/** OpenAPI operations of the signals surface: keys as credentials, errors as `{"error","message"}`. */
import { COLLECTOR_TYPES, ERRORS, type ErrorCode, FEED_INCLUDES } from "../src/index.ts";
import { collectorEventName, type JsonObject } from "./json-schemas.ts";
import { type Described, ref } from "./openapi-parts.ts";

interface Operation {
  method: "get" | "post" | "delete";
  path: string;
  id: string;
  summary: string;
  parameters?: JsonObject[];
  body?: JsonObject;
  success: { status: number; description: string; schema?: JsonObject };
  errors: ErrorCode[];
  /** The key may also come as `?key=`. */
  queryKey?: boolean;
  open?: boolean;
}

const query = (name: string, description: string, schema: JsonObject = { type: "string" }): JsonObject => ({
  name,
  in: "query",
  description,
  schema,
});
const inPath = (name: string): JsonObject => ({ name, in: "path", required: true, schema: { type: "string", maxLength: 128 } });

const intake: ErrorCode[] = [
  "invalid_json",
  "invalid_request",
  "missing_api_key",
  "invalid_api_key",
  "expired_token",
  "domain_not_allowed",
  "origin_not_allowed",
  "insufficient_scope",
  "method_not_allowed",
  "rate_limit_exceeded",
  "overloaded",
];
const withBody: ErrorCode[] = ["payload_too_large", "unsupported_media_type"];

const feedParameters = [
  query("cursor", "Resume after this position"),
  query("since", "Resume from a time: ms since epoch, or an age such as -15m"),
  query("onGap", "`fail` answers 410 instead of a gap frame", { enum: ["continue", "fail"] }),
  query("include", `Comma-separated optional members: ${FEED_INCLUDES.join(", ")}`),
  query("dialect", "Names and scales of scores", { enum: ["1", "2"] }),
  query("eventTypes", "Filter; every member of FeedFilterWire is a parameter, `min.<score>` and `max.<score>` are bounds"),
];

const feed = (path: string, id: string): Operation => ({
  method: "get",
  path,
  id,
  summary: "Signals Feed: upgrade to a WebSocket; messages are described in asyncapi.json",
  parameters: feedParameters,
  success: { status: 101, description: "Switched to WebSocket" },
  errors: [
    "invalid_request",
    "invalid_cursor",
    "invalid_filter",
    "missing_api_key",
    "invalid_api_key",
    "expired_token",
    "plan_upgrade_required",
    "insufficient_scope",
    "key_type_not_allowed",
    "origin_not_allowed",
    "method_not_allowed",
    "cursor_expired",
    "upgrade_required",
    "too_many_connections",
    "rate_limit_exceeded",
    "overloaded",
    "draining",
  ],
  queryKey: true,
});

const OPERATIONS: readonly Operation[] = [
  {
    method: "post",
    path: "/v1/events",
    id: "postEvents",
    summary: "Collector: post a batch of visitor events. 202 means: what is counted as accepted is durable",
    body: {
      type: "object",
      required: ["events"],
      properties: {
        events: {
          type: "array",
          minItems: 1,
          maxItems: 100,
          items: { oneOf: COLLECTOR_TYPES.map((type) => ref(collectorEventName(type))) },
        },
        sentAt: { type: "number", description: "The client's clock when it sent the batch, ms" },
      },
    },
    success: { status: 202, description: "Stored", schema: ref("BatchAnswer") },
    errors: [...intake, ...withBody, "key_type_not_allowed", "invalid_batch"],
    queryKey: true,
  },
  {
    method: "post",
    path: "/v1/consent/receipt",
    id: "postConsentReceipt",
    summary: "Record a consent decision",
    body: ref("ConsentReceipt"),
    success: { status: 202, description: "Recorded", schema: ref("ConsentReceiptAnswer") },
    errors: [...intake, ...withBody],
    queryKey: true,
  },
  {
    method: "get",
    path: "/v1/consent/config",
    id: "getConsentConfig",
    summary: "Privacy settings of the site, for a page's SDK",
    success: { status: 200, description: "Settings", schema: ref("ConsentConfigAnswer") },
    errors: intake,
    queryKey: true,
  },
  {
    method: "post",
    path: "/v1/optout",
    id: "postOptOut",
    summary: "Opt a visitor out: state is erased, events are no longer taken",
    body: ref("OptOutRequest"),
    success: { status: 202, description: "Opted out", schema: ref("OptOutAnswer") },
    errors: [...intake, ...withBody],
  },
  {
    method: "delete",
    path: "/v1/optout/{visitorId}",
    id: "deleteOptOut",
    summary: "Opt a visitor in again",
    parameters: [inPath("visitorId")],
    success: { status: 202, description: "Opted in", schema: ref("OptOutAnswer") },
    errors: intake,
  },
  {
    method: "get",
    path: "/v1/signals/{visitorId}",
    id: "getVisitorContext",
    summary: "The last labels of one visitor",
    parameters: [inPath("visitorId"), query("sessionId", "Only this session")],
    success: {
      status: 200,
      description: "Snapshot; `pending` is true while events accepted before the request are still being scored",
      schema: { allOf: [ref("VisitorContext"), { type: "object", properties: { pending: { const: true } } }] },
    },
    errors: [
      "invalid_request",
      "missing_api_key",
      "invalid_api_key",
      "expired_token",
      "plan_upgrade_required",
      "insufficient_scope",
      "origin_not_allowed",
      "visitor_not_active",
      "method_not_allowed",
      "rate_limit_exceeded",
      "overloaded",
    ],
  },
  feed("/v1/signals/stream", "openFeed"),
  feed("/signals/stream", "openFeedShort"),
  {
    method: "get",
    path: "/health",
    id: "getHealth",
    summary: "Health of the process, and of every service behind it",
    success: {
      status: 200,
      description: "Ok or degraded; 503 with the same body when a service has no instance that works",
      schema: ref("HealthAnswer"),
    },
    errors: [],
    open: true,
  },
];

export const SIGNALS_OPERATIONS: readonly Described[] = OPERATIONS.map((operation) => ({
  method: operation.method,
  path: operation.path,
  document: describe(operation),
}));

function describe(operation: Operation): JsonObject {
  const { success } = operation;
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of operation.errors) byStatus.set(ERRORS[code].status, [...(byStatus.get(ERRORS[code].status) ?? []), code]);
  const failures = [...byStatus].sort(([a], [b]) => a - b);
  const security = [{ header: [] }, { bearer: [] }, ...(operation.queryKey ? [{ query: [] }] : [])];
  return {
    operationId: operation.id,
    summary: operation.summary,
    ...(operation.parameters ? { parameters: operation.parameters } : {}),
    ...(operation.body ? { requestBody: { required: true, content: { "application/json": { schema: operation.body } } } } : {}),
    responses: {
      [success.status]: {
        description: success.description,
        ...(success.schema ? { content: { "application/json": { schema: success.schema } } } : {}),
      },
      ...Object.fromEntries(
        failures.map(([status, codes]) => [
          status,
          {
            description: codes.map((code) => `\`${code}\`: ${ERRORS[code].message}`).join("; "),
            content: { "application/json": { schema: ref("ErrorAnswer") } },
          },
        ]),
      ),
    },
    security: operation.open ? [] : security,
  };
}
