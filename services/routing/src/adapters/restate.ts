/**
 * Compares the registry with the database at start: a registry that lost its store is told every feed again, and one that still has a feed
 * which is gone is told so, because the database is the truth. Tests: restate.test.ts, ../marketplace.int.test.ts.
 */
import type { RegistryView } from "@headwater/messaging";
import type { OutboxRelay } from "@headwater/postgres";
import { FeedRecord } from "@headwater/protocol";
import { feedRecord, type StoredFeed } from "../domain/feed-view.ts";

const FLUSH_WITHIN_MS = 2_000;

/** @returns how many feeds were written to the outbox again. */
export async function restateFeeds(ports: {
  store: { loadAll(): Promise<StoredFeed[]>; restate(ids: readonly string[]): Promise<void> };
  registry: Pick<RegistryView, "get" | "list">;
  relay: Pick<OutboxRelay, "flush" | "wake">;
}): Promise<number> {
  const look = async (): Promise<string[]> => differentFeeds(await ports.store.loadAll(), ports.registry);
  if ((await look()).length === 0) return 0;
  // What waits in the outbox is not missing, only late.
  await ports.relay.flush(FLUSH_WITHIN_MS);
  const different = await look();
  if (different.length === 0) return 0;
  await ports.store.restate(different);
  ports.relay.wake();
  return different.length;
}

/** Ids of feeds that the registry does not know, knows in another form, or knows though they are gone. */
export function differentFeeds(stored: readonly StoredFeed[], registry: Pick<RegistryView, "get" | "list">): string[] {
  const ids = new Set(stored.map(({ id }) => id));
  const gone = registry.list("feed").flatMap(({ id }) => (ids.has(id) ? [] : [id]));
  const changed = stored.filter((feed) => {
    const held = FeedRecord.safeParse(registry.get("feed", feed.id)?.data);
    return !held.success || canonical(held.data) !== canonical(feedRecord(feed));
  });
  return [...gone, ...changed.map(({ id }) => id)];
}

/** JSON with sorted members: jsonb does not keep their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
