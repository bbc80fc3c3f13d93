/** All feeds of the registry as records. Tests: feed-directory.test.ts. */
import type { RegistryView } from "@headwater/messaging";
import { FeedRecord } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { Feeds } from "../ports.ts";

export function followFeeds(registry: Pick<RegistryView, "list" | "onChange">, log: Logger): Feeds {
  const feeds = new Map<string, FeedRecord>();
  const listeners = new Set<(feedId: string, feed: FeedRecord | undefined) => void>();
  const apply = (id: string, data: unknown): void => {
    const parsed = data === null ? undefined : FeedRecord.safeParse(data);
    if (parsed?.success === false) log.warn({ feedId: id }, "feeds.record_skipped");
    if (parsed?.success === true) feeds.set(id, parsed.data);
    else feeds.delete(id);
    for (const listener of listeners) listener(id, feeds.get(id));
  };
  for (const record of registry.list("feed")) apply(record.id, record.data);
  registry.onChange((record) => {
    if (record.aggregate === "feed") apply(record.id, record.data);
  });
  return {
    get: (feedId) => feeds.get(feedId),
    all: () => feeds.values(),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
