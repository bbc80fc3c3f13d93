/** What the parts of the OpenAPI document have in common. */
import type { JsonObject } from "./json-schemas.ts";

/** One operation of the document; the owner is added as its tag. */
export interface Described {
  method: "get" | "post" | "put" | "patch" | "delete";
  /** With `{name}` for parameters. */
  path: string;
  document: JsonObject;
}

export const ref = (name: string): JsonObject => ({ $ref: `#/components/schemas/${name}` });
