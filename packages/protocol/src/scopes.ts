/** Every scope of all four surfaces. A plan gate overrides the scopes on a key. */
export const SCOPES = [
  // signals
  "events:write",
  "events:read",
  "live:read",
  "identity:resolve",
  "signals:read",
  "signals:write",
  // feeds
  "websocket:*",
  "websocket:subscribe",
  "websocket:topic",
  "websocket:llm",
  // posts
  "posts:read",
  "posts:write",
  // emotion
  "emotion:use",
] as const;
export type Scope = (typeof SCOPES)[number];

/** What `/api/auth/api-keys` may grant, in the contract's order. */
export const WEBSOCKET_SCOPES = [
  "websocket:subscribe",
  "websocket:llm",
  "websocket:topic",
  "websocket:*",
] as const satisfies readonly Scope[];

/** `websocket:*` grants its parts; every other scope grants itself. */
export function hasScope(granted: readonly string[], needed: Scope): boolean {
  return granted.includes(needed) || (needed.startsWith("websocket:") && granted.includes("websocket:*"));
}
