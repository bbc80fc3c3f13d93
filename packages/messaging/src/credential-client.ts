/**
 * Who is behind an API key or a login token, for every service that is asked something with one. Asks `svc.auth.verify` with the key's digest (the key
 * itself never travels), remembers a good answer for up to 30 s, drops it when the registry says that key or tenant changed, and keeps
 * using it while auth is away, except for what was revoked meanwhile. Tests: credential-client.test.ts, services/auth/src/service.int.test.ts.
 */
import { createHash } from "node:crypto";
import { type Credential, keyPrefixOf, type RegistryRecord, type SessionAnswer, VerifyAnswer } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { Nats } from "./connection.ts";
import { watchDeletions } from "./deleted-records.ts";
import type { RegistryView } from "./registry-view.ts";
import { callService } from "./service.ts";
import { createSessionClient, type SessionVerification } from "./session-client.ts";

export type Verification =
  | { ok: true; credential: Credential }
  | { ok: false; code: "missing" | "invalid" | "expired" }
  /** Nobody can tell now: neither auth nor the cache knows the key. */
  | { ok: false; code: "unavailable" };

export interface CredentialClient {
  verify(key: string | undefined): Promise<Verification>;
  /** Who is behind a login token. The registry view needs the aggregates `session` and `tenant`. */
  verifySession(token: string | undefined): Promise<SessionVerification>;
  stop(): void;
}

export interface CredentialClientOptions {
  clock: Clock;
  log: Logger;
  /** Age up to which a good answer is used without asking again, ms. Default 30,000. */
  cacheMs?: number;
  /** Age up to which a bad answer is used, ms. Default 1,000. */
  negativeCacheMs?: number;
  maxEntries?: number;
  timeoutMs?: number;
  /** Replace the questions over NATS in unit tests. */
  ask?: (digest: string) => Promise<VerifyAnswer>;
  askSession?: (token: string) => Promise<SessionAnswer>;
}

interface Entry {
  answer: VerifyAnswer;
  /** Monotonic ms until which it is used without asking. */
  until: number;
  /** The registry said this key or tenant changed: ask before the next use. */
  isStale: boolean;
}

/** While auth is away it is asked this often per key, so that one that hangs does not hold every request for its timeout. */
const RETRY_MS = 1_000;

export function createCredentialClient(
  nats: Nats | undefined,
  registry: Pick<RegistryView, "get" | "onChange">,
  options: CredentialClientOptions,
): CredentialClient {
  const cacheMs = options.cacheMs ?? 30_000;
  const negativeCacheMs = options.negativeCacheMs ?? 1_000;
  const maxEntries = options.maxEntries ?? 20_000;
  const entries = new Map<string, Entry>();
  /** Digests of good keys, so that a key in use is hashed once. */
  const digests = new Map<string, string>();
  const asking = new Map<string, Promise<VerifyAnswer>>();
  const ask = options.ask ?? ((digest: string) => askAuth(nats, digest, options.timeoutMs ?? 2_000));

  const deleted = watchDeletions(registry, ["key", "tenant"]);
  /** What the registry itself says is enough to refuse, even while auth is away. */
  const isRevoked = ({ keyId, tenantId }: Credential): boolean =>
    deleted.has("key", keyId) || deleted.has("tenant", tenantId) || isRevokedKey(registry.get("key", keyId)?.data);

  /** REGISTRY sequence of the last change that concerns a key or a tenant, by id. */
  const changedAt = new Map<string, number>();
  const stopListening = registry.onChange((record, seq) => {
    const tenantId = record.aggregate === "tenant" ? record.id : record.aggregate === "site" ? siteTenant(record) : undefined;
    if (record.aggregate === "key") changedAt.set(record.id, seq);
    else if (typeof tenantId === "string") changedAt.set(tenantId, seq);
    markStale(entries, record);
  });
  /** Answered by an instance that had not seen a change we have seen, or overtaken by it on the way: good for one use at most. */
  const isOvertaken = ({ keyId, tenantId, reg }: Credential): boolean =>
    reg < Math.max(changedAt.get(keyId) ?? 0, changedAt.get(tenantId) ?? 0);

  const sessions = createSessionClient(nats, registry, options);

  const lookUp = (digest: string): Promise<VerifyAnswer> => {
    const known = asking.get(digest);
    if (known) return known;
    const question = ask(digest)
      .then((answer) => {
        entries.delete(digest);
        entries.set(digest, {
          answer,
          until: options.clock.monotonicMs() + (answer.ok ? cacheMs : negativeCacheMs),
          isStale: answer.ok && isOvertaken(answer.credential),
        });
        evictOldest(entries, maxEntries);
        return answer;
      })
      .finally(() => asking.delete(digest));
    asking.set(digest, question);
    return question;
  };

  return {
    async verify(key) {
      if (key === undefined || key === "") return { ok: false, code: "missing" };
      const known = digests.get(key);
      // A malformed key cannot exist: nobody needs to be asked.
      if (known === undefined && keyPrefixOf(key) === undefined) return { ok: false, code: "invalid" };
      const digest = known ?? createHash("sha256").update(key).digest("hex");
      const entry = entries.get(digest);
      if (known === undefined && entry?.answer.ok) {
        digests.set(key, digest);
        evictOldest(digests, maxEntries);
      }
      if (entry && !entry.isStale && options.clock.monotonicMs() <= entry.until) return judge(entry.answer, options.clock.now());
      try {
        const answer = await lookUp(digest);
        if (answer.ok && isRevoked(answer.credential)) return { ok: false, code: "invalid" };
        return judge(answer, options.clock.now());
      } catch (error) {
        options.log.debug({ err: error }, "credential.auth_away");
        if (!entry?.answer.ok) return { ok: false, code: "unavailable" };
        if (isRevoked(entry.answer.credential)) return { ok: false, code: "invalid" };
        entry.until = options.clock.monotonicMs() + RETRY_MS;
        entry.isStale = false;
        return judge(entry.answer, options.clock.now());
      }
    },
    verifySession: (token) => sessions.verify(token),
    stop() {
      stopListening();
      deleted.stop();
      sessions.stop();
    },
  };
}

async function askAuth(nats: Nats | undefined, digest: string, timeoutMs: number): Promise<VerifyAnswer> {
  if (!nats) throw new TypeError("a credential client needs a connection");
  return VerifyAnswer.parse(await callService(nats, "auth", "verify", { digest }, { timeoutMs }));
}

function judge(answer: VerifyAnswer, nowMs: number): Verification {
  if (!answer.ok) return answer;
  const { expiresAt } = answer.credential;
  return expiresAt !== null && Date.parse(expiresAt) <= nowMs ? { ok: false, code: "expired" } : answer;
}

function markStale(entries: Map<string, Entry>, record: RegistryRecord): void {
  for (const entry of entries.values()) {
    if (!entry.answer.ok) continue;
    const { keyId, tenantId, sites } = entry.answer.credential;
    const concerns =
      (record.aggregate === "key" && record.id === keyId) ||
      (record.aggregate === "tenant" && record.id === tenantId) ||
      (record.aggregate === "site" && (sites.some((site) => site.id === record.id) || siteTenant(record) === tenantId));
    if (concerns) entry.isStale = true;
  }
}

function siteTenant(record: RegistryRecord): unknown {
  return typeof record.data === "object" && record.data !== null && "tenantId" in record.data ? record.data.tenantId : undefined;
}

function isRevokedKey(data: unknown): boolean {
  return typeof data === "object" && data !== null && "revokedAt" in data && data.revokedAt !== null;
}

function evictOldest(entries: Map<string, unknown>, limit: number): void {
  for (const oldest of entries.keys()) {
    if (entries.size <= limit) return;
    entries.delete(oldest);
  }
}
