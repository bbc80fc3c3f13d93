/**
 * `svc.auth.session`: who is behind a login token, from memory. Only a tenant this instance has not heard of yet (registered a moment ago at
 * another one) costs a query. Tests: session-verifier.test.ts, ../accounts.int.test.ts.
 */
import { RpcError, type SessionVerification } from "@headwater/messaging";
import { limitsOf, type SessionAnswer, SessionRequest, type SiteRecord, type TenantRecord } from "@headwater/protocol";
import type { CredentialTable } from "../domain/credential-table.ts";
import type { EndedSessions } from "../domain/ended-sessions.ts";
import type { LoginTokens } from "./login-tokens.ts";

export interface SessionVerifierPorts {
  tokens: LoginTokens;
  ended: EndedSessions;
  table: CredentialTable;
  loadTenant(id: string): Promise<{ tenant: TenantRecord; sites: SiteRecord[] } | undefined>;
  now(): number;
  /** REGISTRY position that `ended` and `table` reflect. */
  position(): number;
  onAnswer(answer: SessionAnswer): void;
}

export interface SessionVerifier {
  /** Endpoint: the payload as it came. @throws RpcError 400 for a bad payload, 503 when nobody can tell. */
  answer(payload: unknown): Promise<SessionAnswer>;
  /** For auth's own routes. */
  verify(token: string | undefined): Promise<SessionVerification>;
}

export function createSessionVerifier(ports: SessionVerifierPorts): SessionVerifier {
  const judge = async (token: string): Promise<SessionAnswer> => {
    // Read first: what changes while the token is checked makes the answer older, never newer, than it says.
    const reg = ports.position();
    const check = await ports.tokens.check(token, ports.now());
    if (!check.ok) return check;
    const { claims } = check;
    const tenant = ports.table.tenant(claims.tid) ?? (await load(claims.tid));
    if (!tenant || ports.ended.has(claims.sid)) return { ok: false, code: "invalid" };
    return {
      ok: true,
      session: {
        sessionId: claims.sid,
        userId: claims.userId,
        email: claims.email,
        username: claims.username,
        tenantId: tenant.id,
        tenantSlug: tenant.slug,
        plan: tenant.plan,
        limits: limitsOf(tenant.plan, tenant.limits),
        expiresAt: new Date(claims.exp * 1_000).toISOString(),
        reg,
      },
    };
  };
  /** Only a token that we signed gets here: nobody can make us ask the database about guesses. */
  const load = async (tenantId: string): Promise<TenantRecord | undefined> => {
    let found: Awaited<ReturnType<SessionVerifierPorts["loadTenant"]>>;
    try {
      found = await ports.loadTenant(tenantId);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new RpcError("unavailable", "the account is not known here and the database is away", 503);
    }
    // What came through the registry meanwhile is newer than the rows.
    if (found && !ports.table.hasTenant(tenantId)) {
      ports.table.putTenant(found.tenant);
      for (const site of found.sites) ports.table.putSite(site);
    }
    return ports.table.tenant(tenantId);
  };
  const answer = async (token: string): Promise<SessionAnswer> => {
    const judged = await judge(token);
    ports.onAnswer(judged);
    return judged;
  };
  return {
    async answer(payload) {
      const request = SessionRequest.safeParse(payload);
      if (!request.success) throw new RpcError("invalid_request", "a token is required", 400);
      return await answer(request.data.token);
    },
    async verify(token) {
      if (token === undefined || token === "") return { ok: false, code: "missing" };
      if (!SessionRequest.safeParse({ token }).success) return { ok: false, code: "invalid" };
      try {
        return await answer(token);
      } catch (error) {
        if (error instanceof RpcError) return { ok: false, code: "unavailable" };
        throw error;
      }
    },
  };
}
