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
  auth: "key" | "key+query" | "admin" | "none";
  summary: string;
}

export const ROUTES: readonly Route[] = [
  {
    method: "*",
    path: "/v1/events",
    owner: "ingest",
    kind: "http",
    auth: "key+query",
    summary: "Collector: post a batch of visitor events",
  },
  {
    method: "*",
    path: "/v1/consent/*rest",
    owner: "ingest",
    kind: "http",
    auth: "key+query",
    summary: "Consent receipts and SDK compliance settings",
  },
  { method: "*", path: "/v1/optout", owner: "ingest", kind: "http", auth: "key", summary: "Opt a visitor out" },
  { method: "*", path: "/v1/optout/*rest", owner: "ingest", kind: "http", auth: "key", summary: "Opt a visitor in again" },
  { method: "*", path: "/signals/stream", owner: "edge", kind: "websocket", auth: "key+query", summary: "Signals Feed" },
  { method: "*", path: "/v1/signals/stream", owner: "edge", kind: "websocket", auth: "key+query", summary: "Signals Feed" },
  { method: "*", path: "/v1/signals/:visitorId", owner: "scoring", kind: "http", auth: "key", summary: "Snapshot of one visitor" },
  { method: "*", path: "/admin/*rest", owner: "auth", kind: "http", auth: "admin", summary: "Operator API of the CLI" },
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
