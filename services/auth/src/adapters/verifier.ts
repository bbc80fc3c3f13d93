/**
 * `svc.auth.verify`: from memory, and for a key this instance has not heard of yet (made a moment ago at another one) from the database.
 * A known key never waits for PostgreSQL. Tests: verifier.test.ts, service.int.test.ts.
 */
import { RpcError } from "@headwater/messaging";
import { type SiteRecord, type TenantRecord, type VerifyAnswer, VerifyRequest } from "@headwater/protocol";
import type { CredentialTable, StoredKey } from "../domain/credential-table.ts";
import { lookupOf } from "./secrets.ts";

export interface VerifierPorts {
  table: CredentialTable;
  pepper: string;
  loadByLookup(lookup: string): Promise<{ key: StoredKey; tenant: TenantRecord; sites: SiteRecord[] } | undefined>;
  /** False: keys are known to exist that could not be loaded, so "unknown" proves nothing. */
  isComplete(): boolean;
  now(): number;
  /** REGISTRY position the table reflects. */
  position(): number;
  onAnswer(answer: VerifyAnswer): void;
}

/** Unknown digests cost a query each; whoever guesses keys must not occupy the pool. */
const MAX_QUERIES = 2;
/** Digests that wait for their query. Above it, what this instance has not heard of is not looked for: the registry tells it in a moment. */
const MAX_WAITING = 256;

export function createVerifier(ports: VerifierPorts): (payload: unknown) => Promise<VerifyAnswer> {
  const judge = (lookup: string): VerifyAnswer => ports.table.verify(lookup, ports.now(), ports.position());
  let queries = 0;
  const waiting: (() => void)[] = [];
  /** By lookup: a new key is often used by several sockets at once, and each of them waits for the one answer. */
  const loading = new Map<string, Promise<void>>();
  const load = async (lookup: string): Promise<void> => {
    const running = loading.get(lookup);
    if (running) return await running;
    if (queries >= MAX_QUERIES && waiting.length >= MAX_WAITING) return undefined;
    const done = inTurn(lookup).finally(() => loading.delete(lookup));
    loading.set(lookup, done);
    return await done;
  };
  const inTurn = async (lookup: string): Promise<void> => {
    if (queries < MAX_QUERIES) queries++;
    // The place of the one before is handed over.
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      // The registry may have told it meanwhile.
      if (!ports.table.has(lookup)) await query(lookup);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else queries--;
    }
  };
  const query = async (lookup: string): Promise<void> => {
    try {
      const found = await ports.loadByLookup(lookup);
      if (!found) return;
      if (!ports.table.hasTenant(found.tenant.id)) {
        // What came through the registry meanwhile is newer than these rows.
        ports.table.putTenant(found.tenant);
        for (const site of found.sites) ports.table.putSite(site);
      }
      ports.table.putKey(found.key);
    } catch (error) {
      if (!ports.isComplete()) throw new RpcError("unavailable", "the key is not known here and the database is away", 503);
      // The table is complete: a key that is not in it does not exist. The relay and the probe report the outage.
      if (!(error instanceof Error)) throw error;
    }
  };
  return async (payload) => {
    const request = VerifyRequest.safeParse(payload);
    if (!request.success) throw new RpcError("invalid_request", "a digest is required", 400);
    const lookup = lookupOf(ports.pepper, request.data.digest);
    if (!ports.table.has(lookup)) await load(lookup);
    const answer = judge(lookup);
    ports.onAnswer(answer);
    return answer;
  };
}
