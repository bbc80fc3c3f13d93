/**
 * Compares the registry with the database at start. A registry that lost its store (or never had it) is told every fact again, because
 * the database is the truth; a registry that is complete costs one comparison. Tests: restate.test.ts, service.int.test.ts.
 */
import { type RegistryAggregate, TenantRecord, SiteRecord, KeyRecord } from "@headwater/protocol";
import type { RegistryView } from "@headwater/messaging";

export interface Fact {
  aggregate: RegistryAggregate;
  id: string;
  data: TenantRecord | SiteRecord | KeyRecord;
}

/** Facts the registry does not hold, or holds in another form, in the order given. */
export function missingFacts(facts: readonly Fact[], registry: Pick<RegistryView, "get">): Fact[] {
  return facts.filter((fact) => {
    const held = schemaOf(fact.aggregate).safeParse(registry.get(fact.aggregate, fact.id)?.data);
    return !held.success || canonical(held.data) !== canonical(fact.data);
  });
}

function schemaOf(aggregate: RegistryAggregate): typeof TenantRecord | typeof SiteRecord | typeof KeyRecord {
  return aggregate === "tenant" ? TenantRecord : aggregate === "site" ? SiteRecord : KeyRecord;
}

/** JSON with sorted members: jsonb does not keep their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
