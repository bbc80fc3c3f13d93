/**
 * Who may do what on `/ws` (the table of connection states): pure decisions over the state of a socket and a feed's record.
 * Tests: socket-access.test.ts.
 */
import { type FeedRecord, hasScope, type PlanLimits, type Scope } from "@headwater/protocol";

export type SocketOperation = "subscribe-feed" | "subscribe-topic" | "subscribe-llm" | "subscribe-all" | "ask" | "toggle-auto-analysis";

/** Verified identity of a socket. A login may do everything, a key what its scopes say. */
export interface SocketIdentity {
  authType: "apikey" | "jwt";
  userId: string;
  tenantId: string;
  /** Key or session id: what a revocation names. */
  credentialId: string;
  /** `undefined`: everything. */
  scopes: readonly string[] | undefined;
  limits: PlanLimits;
  /** ms epoch; Infinity when it does not end. */
  expiresAtMs: number;
}

export type SocketState =
  | { kind: "anonymous" }
  /** A label the client gave itself: never trusted. */
  | { kind: "registered"; label: string }
  | { kind: "authenticated"; identity: SocketIdentity };

/** `public`: a registered socket may read public feeds. */
export type RegisteredAccess = "public" | "none";

const NEEDED: Readonly<Record<SocketOperation, readonly Scope[]>> = {
  "subscribe-feed": ["websocket:subscribe"],
  "subscribe-topic": ["websocket:topic"],
  "subscribe-llm": ["websocket:llm"],
  "subscribe-all": ["websocket:subscribe", "websocket:llm"],
  ask: ["websocket:llm"],
  "toggle-auto-analysis": ["websocket:llm"],
};

/** Before any feed is looked at. */
export function mayDo(state: SocketState, operation: SocketOperation, registeredAccess: RegisteredAccess): boolean {
  switch (state.kind) {
    case "anonymous":
      return false;
    case "registered":
      return registeredAccess === "public" && (operation === "subscribe-feed" || operation === "subscribe-topic");
    case "authenticated": {
      const { scopes } = state.identity;
      return scopes === undefined || NEEDED[operation].every((scope) => hasScope(scopes, scope));
    }
  }
}

/** A private feed exists for its owner only. */
export function maySee(state: SocketState, feed: Pick<FeedRecord, "isPublic" | "tenantId">): boolean {
  if (feed.isPublic) return true;
  return state.kind === "authenticated" && state.identity.tenantId === feed.tenantId;
}

export function owns(state: SocketState, feed: Pick<FeedRecord, "tenantId">): boolean {
  return state.kind === "authenticated" && state.identity.tenantId === feed.tenantId;
}
