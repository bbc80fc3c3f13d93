/**
 * From a credential sent on `/ws` to an identity with a slot: asks auth (cached), looks once more at what the registry says about it, and takes
 * one of the tenant's sockets. Tests: feeds-table.int.test.ts, feeds-lifecycle.int.test.ts.
 */
import type { RegistryView, SessionVerification, SharedLimiter, Verification } from "@headwater/messaging";
import { KeyRecord, originPermitted, SOCKET_ERRORS } from "@headwater/protocol";
import type { SocketIdentity } from "../../domain/socket-access.ts";
import type { Identification, SocketFacts } from "./socket-context.ts";

export interface IdentifyOptions {
  verify(key: string): Promise<Verification>;
  verifySession(token: string): Promise<SessionVerification>;
  registry: Pick<RegistryView, "get">;
  limiter: Pick<SharedLimiter, "hold">;
}

type Known = { ok: true; identity: SocketIdentity; limit: number } | { ok: false; error: string };

/** Errors are the contract's `auth_error` texts. */
export async function identify(
  options: IdentifyOptions,
  credential: { apiKey: string } | { token: string },
  socket: SocketFacts,
): Promise<Identification> {
  const known =
    "apiKey" in credential ? await fromKey(options, credential.apiKey, socket.origin) : await fromToken(options, credential.token);
  if (!known.ok) return known;
  const { identity, limit } = known;
  const revoked = (): Identification => ({
    ok: false,
    error: identity.authType === "jwt" ? SOCKET_ERRORS.invalid_token : SOCKET_ERRORS.invalid_key,
  });
  if (whyRevoked(options.registry, identity) !== undefined) return revoked();
  // Another credential of the same tenant: the socket is counted already.
  if (socket.tenantId === identity.tenantId) return { ok: true, identity };
  const slot = await options.limiter.hold(`ws:sockets:${identity.tenantId}`, limit);
  if (!slot.ok) return { ok: false, error: SOCKET_ERRORS.too_many_connections, close: "too_many_connections" };
  if (whyRevoked(options.registry, identity) !== undefined) {
    slot.release();
    return revoked();
  }
  return { ok: true, identity, release: slot.release };
}

async function fromKey(options: IdentifyOptions, apiKey: string, origin: string | undefined): Promise<Known> {
  const verification = await options.verify(apiKey);
  if (!verification.ok) {
    return { ok: false, error: verification.code === "unavailable" ? SOCKET_ERRORS.unavailable : SOCKET_ERRORS.invalid_key };
  }
  const { credential } = verification;
  if (!originPermitted(credential, origin)) return { ok: false, error: SOCKET_ERRORS.invalid_key };
  const { keyId, tenantId, userId = tenantId, scopes, limits, expiresAt } = credential;
  const expiresAtMs = expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(expiresAt);
  const identity: SocketIdentity = { authType: "apikey", userId, tenantId, credentialId: keyId, scopes, limits, expiresAtMs };
  return { ok: true, identity, limit: limits.feedSockets };
}

async function fromToken(options: IdentifyOptions, token: string): Promise<Known> {
  const verification = await options.verifySession(token);
  if (!verification.ok) {
    if (verification.code === "unavailable") return { ok: false, error: SOCKET_ERRORS.unavailable };
    return { ok: false, error: verification.code === "claims" ? SOCKET_ERRORS.invalid_claims : SOCKET_ERRORS.invalid_token };
  }
  const { sessionId, userId, tenantId, limits, expiresAt } = verification.session;
  const identity: SocketIdentity = {
    authType: "jwt",
    userId,
    tenantId,
    credentialId: sessionId,
    scopes: undefined,
    limits,
    expiresAtMs: Date.parse(expiresAt),
  };
  return { ok: true, identity, limit: limits.feedSockets };
}

/** The `auth_error` text for a live socket whose credential the registry says is gone; undefined = nothing known against it. */
export function whyRevoked(registry: Pick<RegistryView, "get">, identity: SocketIdentity): string | undefined {
  if (identity.authType === "jwt") {
    return registry.get("session", identity.credentialId) === undefined ? undefined : revokedText(identity);
  }
  const record = KeyRecord.safeParse(registry.get("key", identity.credentialId)?.data);
  return record.success && record.data.revokedAt !== null ? revokedText(identity) : undefined;
}

export function revokedText({ authType }: Pick<SocketIdentity, "authType">): string {
  return authType === "apikey" ? SOCKET_ERRORS.revoked_key : SOCKET_ERRORS.invalid_token;
}
