/** All feed records and the limits of their tenants, by lane, from the registry. Tests: upstream-lanes.int.test.ts. */
import { FeedRecord, laneOf, limitsOf, TenantRecord } from "@headwater/protocol";
import type { RegistryView } from "@headwater/messaging";
import type { Logger } from "@headwater/runtime";
import type { BudgetRates } from "../domain/upstream-budget.ts";

export interface FeedDirectory {
  get(feedId: string): FeedRecord | undefined;
  inLane(lane: number): FeedRecord[];
  ratesOf(record: FeedRecord): BudgetRates;
  /** A record is new, changed or gone, or its tenant's limits changed. @returns function that ends the listening */
  onChange(listener: (feedId: string) => void): () => void;
}

export function followFeeds(registry: RegistryView, log: Logger): FeedDirectory {
  const feeds = new Map<string, FeedRecord>();
  const lanes = new Map<number, Set<string>>();
  const listeners = new Set<(feedId: string) => void>();
  const tell = (feedId: string): void => {
    for (const listener of listeners) listener(feedId);
  };
  const apply = (id: string, data: unknown): void => {
    const lane = laneOf(id);
    const ids = lanes.get(lane) ?? new Set<string>();
    lanes.set(lane, ids);
    const parsed = data === null ? undefined : FeedRecord.safeParse(data);
    if (parsed?.success === true) {
      feeds.set(id, parsed.data);
      ids.add(id);
    } else {
      if (parsed) log.warn({ feedId: id }, "upstreams.record_skipped");
      feeds.delete(id);
      ids.delete(id);
    }
    tell(id);
  };
  for (const record of registry.list("feed")) apply(record.id, record.data);
  registry.onChange((record) => {
    if (record.aggregate === "feed") apply(record.id, record.data);
    if (record.aggregate === "tenant") for (const feed of feeds.values()) if (feed.tenantId === record.id) tell(feed.id);
  });
  return {
    get: (feedId) => feeds.get(feedId),
    inLane: (lane) => [...(lanes.get(lane) ?? [])].flatMap((id) => feeds.get(id) ?? []),
    ratesOf(record) {
      const tenant = TenantRecord.safeParse(registry.get("tenant", record.tenantId)?.data);
      // A tenant that is not known here (yet) has the smallest plan.
      const limits = tenant.success ? limitsOf(tenant.data.plan, tenant.data.limits) : limitsOf("free");
      return { messagesPerSecond: limits.feedMessagesPerSecond, bytesPerSecond: limits.feedBytesPerSecond };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
