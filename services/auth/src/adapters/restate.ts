/**
 * Compares the registry with the database at start. A registry that lost its store (or never had it) is told every fact again, because
 * the database is the truth; a registry that is complete costs one comparison. Tests: restate.test.ts, service.int.test.ts.
 */
import type { RegistryView } from "@headwater/messaging";
import type { OutboxRelay } from "@headwater/postgres";
import { KeyRecord, type RegistryAggregate, SessionRecord, SiteRecord, TenantRecord } from "@headwater/protocol";
import type { AuthStore, LoadedFacts } from "./auth-store.ts";

export interface Fact {
  aggregate: RegistryAggregate;
  id: string;
  data: TenantRecord | SiteRecord | KeyRecord | SessionRecord;
}

const FLUSH_WITHIN_MS = 2_000;

/** @returns how many facts were written to the outbox again. */
export async function restateMissing(ports: {
  store: Pick<AuthStore, "loadAll" | "restate">;
  registry: Pick<RegistryView, "get">;
  relay: Pick<OutboxRelay, "flush" | "wake">;
}): Promise<number> {
  const look = async (): Promise<Fact[]> => missingFacts(factsOf(await ports.store.loadAll()), ports.registry);
  if ((await look()).length === 0) return 0;
  // What waits in the outbox is not missing, only late.
  await ports.relay.flush(FLUSH_WITHIN_MS);
  const missing = await look();
  if (missing.length === 0) return 0;
  await ports.store.restate(missing);
  ports.relay.wake();
  return missing.length;
}

/** Tenants before what belongs to them. */
function factsOf(loaded: LoadedFacts): Fact[] {
  return [
    ...loaded.tenants.map((data): Fact => ({ aggregate: "tenant", id: data.id, data })),
    ...loaded.sites.map((data): Fact => ({ aggregate: "site", id: data.id, data })),
    ...loaded.keys.map(({ record }): Fact => ({ aggregate: "key", id: record.id, data: record })),
    ...loaded.endedSessions.map((data): Fact => ({ aggregate: "session", id: data.id, data })),
  ];
}

/** Facts the registry does not hold, or holds in another form, in the order given. */
export function missingFacts(facts: readonly Fact[], registry: Pick<RegistryView, "get">): Fact[] {
  return facts.filter((fact) => {
    const held = schemaOf(fact.aggregate).safeParse(registry.get(fact.aggregate, fact.id)?.data);
    return !held.success || canonical(held.data) !== canonical(fact.data);
  });
}

function schemaOf(aggregate: RegistryAggregate): typeof TenantRecord | typeof SiteRecord | typeof KeyRecord | typeof SessionRecord {
  if (aggregate === "tenant") return TenantRecord;
  if (aggregate === "session") return SessionRecord;
  return aggregate === "site" ? SiteRecord : KeyRecord;
}

/** JSON with sorted members: jsonb does not keep their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
