/**
 * Which keys and tenants the registry says are gone. A registry view forgets deleted records, so a cached credential of one would look like
 * any other; clients that keep answers ask here as well. Tests: credential-client.test.ts, session-client.test.ts.
 */
import type { RegistryAggregate } from "@headwater/protocol";
import type { RegistryView } from "./registry-view.ts";

export interface DeletedRecords {
  /** Deleted since the watch began, and not made again. */
  has(aggregate: RegistryAggregate, id: string): boolean;
  stop(): void;
}

/** Deletions are few and the view keeps their history anyway: nothing is evicted here. */
export function watchDeletions(registry: Pick<RegistryView, "onChange">, aggregates: readonly RegistryAggregate[]): DeletedRecords {
  const deleted = new Set<string>();
  const stop = registry.onChange(({ aggregate, id, data }) => {
    if (!aggregates.includes(aggregate)) return;
    if (data === null) deleted.add(`${aggregate}.${id}`);
    else deleted.delete(`${aggregate}.${id}`);
  });
  return { has: (aggregate, id) => deleted.has(`${aggregate}.${id}`), stop };
}
