/** Operations of the reference itself, and the WebSocket of feeds, whose messages are in asyncapi.json. */
import { describeApi } from "./openapi-api.ts";
import type { Described } from "./openapi-parts.ts";

export const REFERENCE_OPERATIONS: readonly Described[] = [
  describeApi({
    method: "get",
    path: "/openapi/spec.json",
    id: "getOpenApi",
    summary: "This document",
    auth: "none",
    answer: "application/json",
  }),
  describeApi({
    method: "get",
    path: "/docs",
    id: "getReference",
    summary: "Interactive API reference",
    auth: "none",
    answer: "text/html",
  }),
  {
    method: "get",
    path: "/ws",
    document: {
      operationId: "openFeedsSocket",
      summary: "Feeds: upgrade to a WebSocket; credentials come as its first message, messages are described in asyncapi.json",
      responses: { 101: { description: "Switched to WebSocket" } },
      security: [],
    },
  },
];
