/** Every schema the package exports as JSON Schema, named by its export; schemas that contain others refer to them. Pure. */
import { z } from "zod";
import * as protocol from "../src/index.ts";

type Dialect = "draft-2020-12" | "draft-7";
export type JsonObject = Record<string, unknown>;

function named(): [string, z.ZodType][] {
  const own = Object.entries(protocol).flatMap(([name, value]): [string, z.ZodType][] =>
    value instanceof z.ZodType ? [[name, value]] : [],
  );
  const events = Object.entries(protocol.CollectorEvents).map(([type, schema]): [string, z.ZodType] => [collectorEventName(type), schema]);
  return [...own, ...events].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** `pageview` → `CollectorPageview`: schema name of one event type of the collector. */
export function collectorEventName(type: string): string {
  return `Collector${type
    .split("_")
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("")}`;
}

/**
 * @param uri where a schema is found from another one.
 * @returns name → schema as a sender writes it: members with a default are optional.
 */
export function jsonSchemas(target: Dialect, uri: (name: string) => string): Map<string, JsonObject> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of named()) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { target, uri, io: "input" });
  return new Map(Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1)));
}
