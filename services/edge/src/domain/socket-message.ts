/**
 * A message of a `/ws` client: type and payload checked against the schemas of the contract, and what an error about it echoes.
 * Never throws. Tests: socket-message.test.ts.
 */
import { type SocketMessageType, socketPayloads } from "@headwater/protocol";
import type { z } from "zod";

type Payload<T extends SocketMessageType> = z.infer<(typeof socketPayloads)[T]>;

export type SocketMessage =
  | { [T in SocketMessageType]: { kind: "message"; type: T; payload: Payload<T>; echo: Echo } }[SocketMessageType]
  | { kind: "invalid"; type: SocketMessageType; echo: Echo }
  | { kind: "unknown" }
  | { kind: "malformed" };

/** A valid message of one type. */
export type SocketRequest<T extends SocketMessageType> = Extract<SocketMessage, { kind: "message"; type: T }>;

/** Members of the request that its error repeats. */
export interface Echo {
  feedId?: string | number;
  topic?: string | number;
  requestId?: string | number;
  analysisId?: string | number;
}

const MAX_ECHO = 256;
/** Without an offset it would depend on where we run. */
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)$/;

export function parseSocketMessage(text: string): SocketMessage {
  const value = parseJson(text);
  if (!isObject(value)) return { kind: "malformed" };
  const type = value["type"];
  if (typeof type !== "string" || !Object.hasOwn(socketPayloads, type)) return { kind: "unknown" };
  // Own keys of the table are exactly its message types.
  const known = type as SocketMessageType;
  const raw = value["payload"];
  const echo = echoOf(raw);
  const parsed = socketPayloads[known].safeParse(raw);
  if (!parsed.success) return { kind: "invalid", type: known, echo };
  // The schema of this very type made the data.
  return { kind: "message", type: known, payload: parsed.data, echo } as SocketMessage;
}

/** A number as a topic: the digits the client wrote when a double cannot hold them, else its shortest decimal form. */
export function topicText(topic: string | number): string {
  return String(topic);
}

/** `since` as ms; undefined when it is no time. Before 1970 is "everything". */
export function sinceMsOf(since: number | string): number | undefined {
  if (typeof since === "number") return Math.max(0, since);
  return ISO_TIME.test(since) && !Number.isNaN(Date.parse(since)) ? Math.max(0, Date.parse(since)) : undefined;
}

function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    const payload = isObject(value) ? value["payload"] : undefined;
    const topic = isObject(payload) ? payload["topic"] : undefined;
    if (typeof topic !== "number" || Number.isSafeInteger(topic) || !Number.isInteger(topic)) return value;
    return JSON.parse(text, keepDigits);
  } catch {
    return undefined;
  }
}

/** Integers beyond 2^53 as text with the digits of the source. */
function keepDigits(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  return source !== undefined && /^-?\d+$/.test(source) ? source : value;
}

function echoOf(payload: unknown): Echo {
  const echo: Echo = {};
  if (!isObject(payload)) return echo;
  for (const name of ["feedId", "topic", "requestId", "analysisId"] as const) {
    const value = Object.hasOwn(payload, name) ? payload[name] : undefined;
    if (typeof value === "number" || (typeof value === "string" && value.length <= MAX_ECHO)) echo[name] = value;
  }
  if (echo.topic !== undefined) echo.topic = String(echo.topic);
  return echo;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
