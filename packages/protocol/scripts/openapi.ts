/**
 * OpenAPI 3.1 of the public HTTP routes. Paths and owners come from the route table: an operation without a row there, or a public row without
 * an operation here, is an error. Not described: the operator API (`/admin/*`), the files of the reference page, and answers to unknown paths.
 */
import { type Route, ROUTES, routeOf } from "../src/index.ts";
import { type JsonObject, jsonSchemas } from "./json-schemas.ts";
import { ACCOUNT_OPERATIONS } from "./openapi-accounts.ts";
import { LLM_OPERATIONS } from "./openapi-llm.ts";
import { MARKETPLACE_OPERATIONS } from "./openapi-marketplace.ts";
import type { Described } from "./openapi-parts.ts";
import { REFERENCE_OPERATIONS } from "./openapi-reference.ts";
import { SIGNALS_OPERATIONS } from "./openapi-signals.ts";

const OPERATIONS: readonly Described[] = [
  ...SIGNALS_OPERATIONS,
  ...ACCOUNT_OPERATIONS,
  ...MARKETPLACE_OPERATIONS,
  ...LLM_OPERATIONS,
  ...REFERENCE_OPERATIONS,
];

/** Rows of the table that are no operations of the API. */
const UNDESCRIBED = ["/api/*rest", "/docs/*rest"];
/** Of every service, answered by the process. */
const OF_THE_PROCESS = ["/health"];

export function openApi(): JsonObject {
  const paths: Record<string, JsonObject> = {};
  const described = new Set<Route>();
  for (const { method, path, document } of OPERATIONS) {
    const route = routeOf(path);
    if (route) described.add(route);
    if ((!route || UNDESCRIBED.includes(route.path)) && !OF_THE_PROCESS.includes(path))
      throw new Error(`${path} is not in the route table`);
    if (paths[path]?.[method] !== undefined) throw new Error(`${method} ${path} is described twice`);
    const { operationId, summary, ...rest } = document;
    paths[path] = { ...paths[path], [method]: { operationId, summary, ...(route ? { tags: [route.owner] } : {}), ...rest } };
  }
  for (const route of ROUTES) {
    if (route.auth !== "admin" && !UNDESCRIBED.includes(route.path) && !described.has(route))
      throw new Error(`${route.path} is not described`);
  }
  const schemas = [...jsonSchemas("draft-2020-12", (name) => `#/components/schemas/${name}`)].map(([name, schema]) => {
    const { $id: _id, $schema: _dialect, ...rest } = schema;
    return [name, rest] as const;
  });
  const used = reachable(paths, new Map(schemas));
  return {
    openapi: "3.1.0",
    info: {
      title: "Headwater",
      version: "1",
      description:
        "Signals: visitor events in, labeled events out. Feeds: accounts, upstream live feeds, topics, questions about them. Generated from packages/protocol; do not edit.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "http://127.0.0.1:7210" }],
    paths,
    components: {
      securitySchemes: {
        header: { type: "apiKey", in: "header", name: "X-API-Key" },
        bearer: { type: "http", scheme: "bearer", description: "An API key" },
        query: {
          type: "apiKey",
          in: "query",
          name: "key",
          description: "For beacons and browsers that cannot set headers; redacted in logs",
        },
        login: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "The token of register or login, valid for 7 days" },
      },
      schemas: Object.fromEntries(schemas.filter(([name]) => used.has(name))),
    },
  };
}

/** Names of the schemas that the paths need, directly or through others. */
function reachable(root: unknown, schemas: ReadonlyMap<string, unknown>): Set<string> {
  const found = new Set<string>();
  const open: unknown[] = [root];
  while (open.length > 0) {
    for (const [, name] of JSON.stringify(open.pop()).matchAll(/"#\/components\/schemas\/([A-Za-z]+)"/g)) {
      if (name === undefined || found.has(name)) continue;
      if (!schemas.has(name)) throw new Error(`no schema is called ${name}`);
      found.add(name);
      open.push(schemas.get(name));
    }
  }
  return found;
}
