/**
 * The route table: which service owns a public path. `standalone` mounts every service's router on one port and passes upgrades by it,
 * the front of `--per-service` proxies by it, and an Ingress needs nothing else. Fixed names win over parameters, so order matters.
 */
import type { ServiceName } from "./services.ts";

export interface Route {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" | "*";
  /** Express-style path; `*rest` at the end matches any remainder. */
  path: string;
  owner: ServiceName;
  kind: "http" | "websocket";
  /** Credential places the route accepts. `query` = a key in the URL is contract here and is redacted everywhere. */
  auth: "key" | "key+query" | "admin" | "session" | "none";
  /** Body of an error: `signals` `{"error","message"}`, `api` `{"success":false,"message","code"}`. */
  envelope: "signals" | "api";
  /** `client`: requests are limited per client address or account. Never on the collector, which has limits of its own per key. */
  limiter: "none" | "client";
  summary: string;
}

const signals = { envelope: "signals", limiter: "none" } as const;
const api = { envelope: "api", limiter: "client" } as const;

export const ROUTES: readonly Route[] = [
  {
    ...signals,
    method: "*",
    path: "/v1/events",
    owner: "ingest",
    kind: "http",
    auth: "key+query",
    summary: "Collector: post a batch of visitor events",
  },
  {
    ...signals,
    method: "*",
    path: "/v1/consent/*rest",
    owner: "ingest",
    kind: "http",
    auth: "key+query",
    summary: "Consent receipts and SDK compliance settings",
  },
  { ...signals, method: "*", path: "/v1/optout", owner: "ingest", kind: "http", auth: "key", summary: "Opt a visitor out" },
  { ...signals, method: "*", path: "/v1/optout/*rest", owner: "ingest", kind: "http", auth: "key", summary: "Opt a visitor in again" },
  { ...signals, method: "*", path: "/signals/stream", owner: "edge", kind: "websocket", auth: "key+query", summary: "Signals Feed" },
  { ...signals, method: "*", path: "/v1/signals/stream", owner: "edge", kind: "websocket", auth: "key+query", summary: "Signals Feed" },
  {
    ...signals,
    method: "*",
    path: "/v1/signals/:visitorId",
    owner: "scoring",
    kind: "http",
    auth: "key",
    summary: "Snapshot of one visitor",
  },
  { ...signals, method: "*", path: "/admin/*rest", owner: "auth", kind: "http", auth: "admin", summary: "Operator API of the CLI" },
  { ...api, method: "*", path: "/v1/keys", owner: "auth", kind: "http", auth: "session", summary: "API keys of any prefix for an account" },
  { ...api, method: "*", path: "/v1/keys/*rest", owner: "auth", kind: "http", auth: "session", summary: "One API key of an account" },
  { ...api, method: "*", path: "/api/auth/*rest", owner: "auth", kind: "http", auth: "session", summary: "Accounts, sessions, API keys" },
  {
    ...api,
    method: "*",
    path: "/api/marketplace/*rest",
    owner: "routing",
    kind: "http",
    auth: "session",
    summary: "Feeds and subscriptions",
  },
  {
    ...api,
    method: "*",
    path: "/api/settings/*rest",
    owner: "routing",
    kind: "http",
    auth: "session",
    summary: "Categories, secrets of upstreams",
  },
  { ...api, method: "*", path: "/api/tools/*rest", owner: "routing", kind: "http", auth: "none", summary: "Helpers for describing a feed" },
  { ...api, method: "*", path: "/api/filters", owner: "routing", kind: "http", auth: "none", summary: "Saved filters" },
  { ...api, method: "*", path: "/api/filter-presets", owner: "routing", kind: "http", auth: "none", summary: "Filter presets" },
  { ...api, method: "*", path: "/api/llm/*rest", owner: "intelligence", kind: "http", auth: "session", summary: "Questions about feeds" },
  { ...api, method: "*", path: "/api/*rest", owner: "auth", kind: "http", auth: "none", summary: "Answers unknown paths" },
  { ...api, method: "*", path: "/docs", owner: "auth", kind: "http", auth: "none", summary: "Interactive API reference" },
  { ...api, method: "*", path: "/docs/*rest", owner: "auth", kind: "http", auth: "none", summary: "Files of the API reference" },
  { ...api, method: "*", path: "/openapi/spec.json", owner: "auth", kind: "http", auth: "none", summary: "OpenAPI document" },
  { ...api, method: "*", path: "/ws", owner: "edge", kind: "websocket", auth: "none", summary: "Feeds: raw data, topics, intelligence" },
];

/** The owner of a path (without query), or undefined. Method is not looked at: an owner answers 405 itself. */
export function routeOf(path: string): Route | undefined {
  return ROUTES.find((route) => matches(route.path, path));
}

function matches(pattern: string, path: string): boolean {
  const want = pattern.split("/");
  const have = path.length > 1 && path.endsWith("/") ? path.slice(0, -1).split("/") : path.split("/");
  for (let i = 0; i < want.length; i++) {
    const part = want[i] ?? "";
    if (part.startsWith("*")) return have.length > i && have[i] !== "";
    const got = have[i];
    if (got === undefined) return false;
    if (part.startsWith(":") ? got === "" : part !== got) return false;
  }
  return have.length === want.length;
}
