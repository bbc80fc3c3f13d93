/** How operations of the `api` envelope are described: login tokens as credentials, errors as `{"success":false,"message","code"}`. */
import { ACCOUNT_ERRORS, API_ERRORS, LLM_ERRORS, MARKETPLACE_ERRORS } from "../src/index.ts";
import type { JsonObject } from "./json-schemas.ts";
import { type Described, ref } from "./openapi-parts.ts";

const KNOWN_ERRORS = { ...API_ERRORS, ...ACCOUNT_ERRORS, ...MARKETPLACE_ERRORS, ...LLM_ERRORS };

/** A code of the tables, or a refusal whose message depends on the request. */
export type ApiRefusal = keyof typeof KNOWN_ERRORS | { code: string; status: number; message: string };

export interface ApiOperation {
  method: Described["method"];
  path: string;
  id: string;
  summary: string;
  /** `optional`: a valid login token shows more. */
  auth: "session" | "optional" | "none";
  parameters?: JsonObject[];
  /** Names a schema of the package: the one that validates. */
  body?: string;
  /** Default 200. */
  status?: number;
  /** Names a schema of the package, or a media type. */
  answer: string;
  errors?: readonly ApiRefusal[];
}

/** Any route may answer these. */
const ALWAYS: readonly ApiRefusal[] = ["RATE_LIMITED", "INTERNAL", "SERVICE_UNAVAILABLE", "REQUEST_TIMEOUT"];
const WITH_SESSION: readonly ApiRefusal[] = ["MISSING_TOKEN", "INVALID_TOKEN"];
const WITH_BODY: readonly ApiRefusal[] = ["INVALID_PAYLOAD", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"];

export function describeApi(operation: ApiOperation): Described {
  const { method, path, auth, body, answer } = operation;
  const refusals = [
    ...(body === undefined ? [] : WITH_BODY),
    ...(operation.errors ?? []),
    ...(auth === "session" ? WITH_SESSION : []),
    ...ALWAYS,
  ].map((refusal) => (typeof refusal === "string" ? { code: refusal, ...KNOWN_ERRORS[refusal] } : refusal));
  const byStatus = Map.groupBy(refusals, ({ status }) => status);
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
  const parameters = [
    ...names.map((name) => ({ name, in: "path", required: true, schema: { type: "string", maxLength: 128 } })),
    ...(operation.parameters ?? []),
  ];
  return {
    method,
    path,
    document: {
      operationId: operation.id,
      summary: operation.summary,
      ...(parameters.length > 0 ? { parameters } : {}),
      ...(body === undefined ? {} : { requestBody: { required: true, content: { "application/json": { schema: ref(body) } } } }),
      responses: {
        [operation.status ?? 200]: {
          description: "Done",
          content: answer.includes("/") ? { [answer]: {} } : { "application/json": { schema: ref(answer) } },
        },
        ...Object.fromEntries(
          [...byStatus]
            .sort(([a], [b]) => a - b)
            .map(([status, all]) => [
              status,
              {
                description: all.map(({ code, message }) => `\`${code}\`: ${message}`).join("; "),
                content: { "application/json": { schema: ref("ApiErrorAnswer") } },
              },
            ]),
        ),
      },
      security: auth === "none" ? [] : auth === "session" ? [{ login: [] }] : [{}, { login: [] }],
    },
  };
}

export const inQuery = (name: string, description: string, schema: JsonObject = { type: "string" }): JsonObject => ({
  name,
  in: "query",
  description,
  schema,
});
