/** AsyncAPI 3 of the Signals Feed, of `/ws` and of the logs behind it, one operation per writer and per reader. */
import { FEED_CLOSE, LANE_COUNT, SERVICES, SOCKET_CLOSE, streamSpecs, subjects } from "../src/index.ts";
import { type JsonObject, jsonSchemas } from "./json-schemas.ts";

const ref = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` });
const NDJSON = "application/x-ndjson";

interface Log {
  name: string;
  address: string;
  description: string;
  payload?: JsonObject;
  contentType: string;
  parameters: Record<string, JsonObject>;
  writers: readonly string[];
  readers: readonly string[];
}

const lane = { lane: { description: `0 … ${LANE_COUNT - 1}: FNV-1a 32 of the key modulo ${LANE_COUNT}` } };
const aboutStream = (name: string): string => streamSpecs("laptop").find((spec) => spec.name === name)?.description ?? "";

const LOGS: readonly Log[] = [
  {
    name: "visits",
    address: subjects.allLanes("visits").replace("*", "{lane}"),
    description: `${aboutStream("VISITS_0").replace(", lane 0", "")}; one JSON object per line, several lines per message`,
    payload: ref("VisitInput"),
    contentType: NDJSON,
    parameters: lane,
    writers: ["ingest"],
    readers: ["scoring"],
  },
  {
    name: "signals",
    address: subjects.allLanes("signals").replace("*", "{lane}"),
    description: `${aboutStream("SIGNALS")}. Line 1 is the header; then two lines per output: wire (LabeledEvent) and ext`,
    payload: ref("FrameHeader"),
    contentType: NDJSON,
    parameters: lane,
    writers: ["scoring"],
    readers: ["edge"],
  },
  {
    name: "erasures",
    address: subjects.allLanes("erasures").replace("*", "{lane}"),
    description: aboutStream("ERASURES"),
    payload: ref("ErasureRecord"),
    contentType: "application/json",
    parameters: lane,
    writers: ["scoring"],
    readers: ["ingest"],
  },
  {
    name: "consents",
    address: subjects.allLanes("consents").replace("*", "{lane}"),
    description: aboutStream("CONSENTS"),
    payload: ref("ConsentRecord"),
    contentType: "application/json",
    parameters: lane,
    writers: ["ingest"],
    readers: ["ingest"],
  },
  {
    name: "socketSessions",
    address: subjects.allSocketSessions().replace("*", "{key}"),
    description: aboutStream("SOCKETS"),
    payload: ref("SocketSessionRecord"),
    contentType: "application/json",
    parameters: { key: { description: "Keyed hash of account and session name" } },
    writers: ["edge"],
    readers: ["edge"],
  },
  {
    name: "registry",
    address: "registry.{aggregate}.{id}",
    description: aboutStream("REGISTRY"),
    payload: ref("RegistryRecord"),
    contentType: "application/json",
    parameters: { aggregate: { description: "tenant, key, site, …" }, id: { description: "Id of the aggregate" } },
    writers: ["auth"],
    readers: SERVICES,
  },
  {
    name: "deadLetters",
    address: "dlq.{service}",
    description: aboutStream("DLQ"),
    contentType: "application/json",
    parameters: { service: { description: "Who could not process it" } },
    writers: SERVICES,
    readers: [],
  },
];

export function asyncApi(): JsonObject {
  const schemas = [...jsonSchemas("draft-7", (name) => `#/components/schemas/${name}`)].map(([name, schema]) => {
    const { $id: _id, $schema: _dialect, ...rest } = schema;
    return [name, rest] as const;
  });
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Headwater: Signals Feed and internal logs",
      version: "1",
      description: "Generated from packages/protocol; do not edit.",
      license: { name: "Apache-2.0" },
    },
    defaultContentType: "application/json",
    servers: {
      feed: { host: "127.0.0.1:7210", protocol: "ws", description: "Public WebSocket" },
      nats: { host: "127.0.0.1:4222", protocol: "nats", description: "Internal; NATS JetStream" },
    },
    channels: {
      signalsFeed: {
        address: "/v1/signals/stream",
        servers: [{ $ref: "#/servers/feed" }],
        description: `Labeled events of one tenant, as they are scored. Close codes: ${Object.values(FEED_CLOSE)
          .map(({ code, reason }) => `${code} ${reason}`)
          .join(", ")}.`,
        messages: {
          event: {
            summary: "One labeled event; optional members only when `include=` asks for them",
            payload: { allOf: [ref("LabeledEvent"), ref("FeedEventExtras")] },
          },
          control: {
            summary: "hello, ping, pong, duration_limit, gap, live, subscribed, error, closing",
            payload: ref("FeedControlFrame"),
          },
          client: { summary: "ping, pong, subscribe", payload: ref("FeedClientMessage") },
        },
      },
      socket: {
        address: "/ws",
        servers: [{ $ref: "#/servers/feed" }],
        description: `Feeds: raw data, topics, intelligence; many subscriptions on one socket. Close codes: ${Object.values(SOCKET_CLOSE)
          .map(({ code, reason }) => `${code} ${reason}`)
          .join(", ")}.`,
        messages: {
          server: { summary: "Replies and pushes", payload: ref("SocketServerMessage") },
          client: { summary: "Requests", payload: ref("SocketClientMessage") },
        },
      },
      ...Object.fromEntries(
        LOGS.map((log) => [
          log.name,
          {
            address: log.address,
            servers: [{ $ref: "#/servers/nats" }],
            description: log.description,
            parameters: log.parameters,
            messages: { entry: { contentType: log.contentType, ...(log.payload ? { payload: log.payload } : {}) } },
          },
        ]),
      ),
    },
    operations: {
      feedEvents: {
        action: "send",
        channel: { $ref: "#/channels/signalsFeed" },
        messages: [{ $ref: "#/channels/signalsFeed/messages/event" }, { $ref: "#/channels/signalsFeed/messages/control" }],
      },
      feedCommands: {
        action: "receive",
        channel: { $ref: "#/channels/signalsFeed" },
        messages: [{ $ref: "#/channels/signalsFeed/messages/client" }],
      },
      socketPushes: { action: "send", channel: { $ref: "#/channels/socket" }, messages: [{ $ref: "#/channels/socket/messages/server" }] },
      socketRequests: {
        action: "receive",
        channel: { $ref: "#/channels/socket" },
        messages: [{ $ref: "#/channels/socket/messages/client" }],
      },
      ...Object.fromEntries(
        LOGS.flatMap((log) => [
          ...log.writers.map((service) => operation("send", service, log)),
          ...log.readers.map((service) => operation("receive", service, log)),
        ]),
      ),
    },
    components: { schemas: Object.fromEntries(schemas) },
  };
}

function operation(action: "send" | "receive", service: string, log: Log): [string, JsonObject] {
  const verb = action === "send" ? "Writes" : "Reads";
  return [
    `${service}${verb}${log.name.slice(0, 1).toUpperCase()}${log.name.slice(1)}`,
    { action, channel: { $ref: `#/channels/${log.name}` } },
  ];
}
