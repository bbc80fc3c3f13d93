/** Messages of a Signals Feed client, as a closed union. Never throws. Tests: small.test.ts. */

export type ClientMessage =
  | { type: "ping"; timestamp: unknown }
  | { type: "pong" }
  | { type: "subscribe"; id: string | undefined; filter: unknown }
  | { type: "publish"; id: string | undefined }
  | { type: "ack"; id: string | undefined }
  | { type: "unknown"; id: string | undefined; name: string }
  | { type: "malformed" };

export function parseClientMessage(text: string): ClientMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { type: "malformed" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { type: "malformed" };
  const message: { readonly type?: unknown; readonly id?: unknown; readonly timestamp?: unknown; readonly filter?: unknown } = value;
  const id = typeof message.id === "string" ? message.id.slice(0, 128) : undefined;
  switch (message.type) {
    case "ping":
      return { type: "ping", timestamp: message.timestamp };
    case "pong":
      return { type: "pong" };
    case "subscribe":
      return { type: "subscribe", id, filter: message.filter };
    case "publish":
      return { type: "publish", id };
    case "ack":
      return { type: "ack", id };
    default:
      return { type: "unknown", id, name: typeof message.type === "string" ? message.type.slice(0, 40) : "" };
  }
}
