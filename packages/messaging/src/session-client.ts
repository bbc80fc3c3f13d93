/**
 * Who is behind a login token: the half of the credential client that asks `svc.auth.session`. Only auth can check a signature, so the
 * token itself travels (inside NATS, where no tap may read it) and is remembered by its digest only. A good answer is used for up to 30 s,
 * dropped when the registry says the session or its tenant changed, and extended while auth is away. Tests: session-client.test.ts.
 */
import { createHash } from "node:crypto";
import { SessionAnswer, type SessionCredential } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { Nats } from "./connection.ts";
import { watchDeletions } from "./deleted-records.ts";
import type { RegistryView } from "./registry-view.ts";
import { callService } from "./service.ts";

export type SessionVerification =
  | { ok: true; session: SessionCredential }
  /** `claims`: well signed, but without a user. `unavailable`: nobody can tell now, neither auth nor the cache. */
  | { ok: false; code: "missing" | "invalid" | "claims" | "unavailable" };

export interface SessionClient {
  verify(token: string | undefined): Promise<SessionVerification>;
  stop(): void;
}

export interface SessionClientOptions {
  clock: Clock;
  log: Logger;
  cacheMs?: number;
  negativeCacheMs?: number;
  maxEntries?: number;
  timeoutMs?: number;
  askSession?: (token: string) => Promise<SessionAnswer>;
}

interface Entry {
  answer: SessionAnswer;
  /** Monotonic ms until which it is used without asking. */
  until: number;
  isStale: boolean;
}

/** While auth is away it is asked this often per token. */
const RETRY_MS = 1_000;
const MAX_TOKEN_LENGTH = 4_096;
/** Three base64url parts; anything else was signed by nobody. */
const JWT_SHAPE = /^[\w-]+\.[\w-]+\.[\w-]+$/;

export function createSessionClient(
  nats: Nats | undefined,
  registry: Pick<RegistryView, "get" | "onChange">,
  options: SessionClientOptions,
): SessionClient {
  const cacheMs = options.cacheMs ?? 30_000;
  const negativeCacheMs = options.negativeCacheMs ?? 1_000;
  const maxEntries = options.maxEntries ?? 20_000;
  const entries = new Map<string, Entry>();
  const asking = new Map<string, Promise<SessionAnswer>>();
  const ask = options.askSession ?? ((token: string) => askAuth(nats, token, options.timeoutMs ?? 2_000));
  const deleted = watchDeletions(registry, ["tenant"]);
  /** REGISTRY sequence of the last change of a tenant, by id. */
  const changedAt = new Map<string, number>();

  const stopListening = registry.onChange((record, seq) => {
    if (record.aggregate === "tenant") changedAt.set(record.id, seq);
    if (record.aggregate !== "tenant" && record.aggregate !== "session") return;
    for (const entry of entries.values()) {
      if (!entry.answer.ok) continue;
      const { sessionId, tenantId } = entry.answer.session;
      if (record.id === (record.aggregate === "tenant" ? tenantId : sessionId)) entry.isStale = true;
    }
  });

  const lookUp = (digest: string, token: string): Promise<SessionAnswer> => {
    const known = asking.get(digest);
    if (known) return known;
    const question = ask(token)
      .then((answer) => {
        entries.delete(digest);
        // Overtaken on the way by a change this process has seen already: good for one use at most.
        const isStale = answer.ok && answer.session.reg < (changedAt.get(answer.session.tenantId) ?? 0);
        entries.set(digest, { answer, until: options.clock.monotonicMs() + (answer.ok ? cacheMs : negativeCacheMs), isStale });
        for (const oldest of entries.keys()) {
          if (entries.size <= maxEntries) break;
          entries.delete(oldest);
        }
        return answer;
      })
      .finally(() => asking.delete(digest));
    asking.set(digest, question);
    return question;
  };

  /** What time and the registry say about an answer, whenever it was given. */
  const judge = (answer: SessionAnswer): SessionVerification => {
    if (!answer.ok) return answer;
    const { session } = answer;
    if (Date.parse(session.expiresAt) <= options.clock.now()) return { ok: false, code: "invalid" };
    // A record exists for revoked sessions only.
    if (registry.get("session", session.sessionId) !== undefined) return { ok: false, code: "invalid" };
    if (deleted.has("tenant", session.tenantId)) return { ok: false, code: "invalid" };
    return answer;
  };

  return {
    async verify(token) {
      if (token === undefined || token === "") return { ok: false, code: "missing" };
      if (token.length > MAX_TOKEN_LENGTH || !JWT_SHAPE.test(token)) return { ok: false, code: "invalid" };
      const digest = createHash("sha256").update(token).digest("base64url");
      const entry = entries.get(digest);
      if (entry && !entry.isStale && options.clock.monotonicMs() <= entry.until) return judge(entry.answer);
      try {
        return judge(await lookUp(digest, token));
      } catch (error) {
        options.log.debug({ err: error }, "session.auth_away");
        if (!entry?.answer.ok) return { ok: false, code: "unavailable" };
        entry.until = options.clock.monotonicMs() + RETRY_MS;
        entry.isStale = false;
        return judge(entry.answer);
      }
    },
    stop() {
      stopListening();
      deleted.stop();
    },
  };
}

async function askAuth(nats: Nats | undefined, token: string, timeoutMs: number): Promise<SessionAnswer> {
  if (!nats) throw new TypeError("a session client needs a connection");
  return SessionAnswer.parse(await callService(nats, "auth", "session", { token }, { timeoutMs }));
}
