/** Answers that are the same on every way in. Pure. Tests: call-views.test.ts. */
import type { FeedRecord, LlmProvidersAnswer } from "@headwater/protocol";
import type { ProviderPool } from "../adapters/provider-pool.ts";
import type { ContextEntry, Window } from "../ports.ts";

export function providersView(providers: Pick<ProviderPool, "ids" | "models" | "select">): LlmProvidersAnswer {
  const chosen = providers.select(undefined);
  return {
    enabled: chosen.ok,
    providers: [...providers.ids],
    ...(chosen.ok ? { default: chosen.id } : {}),
    models: providers.models(),
  };
}

/** JSON text of a context: messages are copied as they were written. */
export function contextView(feed: Pick<FeedRecord, "id" | "name">, window: Window | undefined): string {
  const feedId = JSON.stringify(feed.id);
  const newest = window?.entries[0];
  if (window === undefined || newest === undefined) return `{"feedId":${feedId},"entries":[],"entryCount":0,"hasContext":false}`;
  const entries = window.entries.map(entryView).join(",");
  const updatedAt = JSON.stringify(new Date(newest.ts).toISOString());
  return `{"feedId":${feedId},"feedName":${JSON.stringify(feed.name)},"entries":[${entries}],"entryCount":${window.entries.length},"hasContext":true,"updatedAt":${updatedAt}}`;
}

/** The message with the time it came beside its members; whatever is no object is the member `raw`. */
function entryView({ ts, json, topic }: ContextEntry): string {
  const beside = { _timestamp: new Date(ts).toISOString(), ...(topic === undefined ? {} : { _topic: topic }) };
  if (!json.startsWith("{")) return `{"raw":${json},${JSON.stringify(beside).slice(1)}`;
  // A member of the message itself with such a name stays: nothing of the message is lost or said twice.
  const own = json.includes('"_t') ? Object.keys(JSON.parse(json) as object) : [];
  const added = JSON.stringify(Object.fromEntries(Object.entries(beside).filter(([name]) => !own.includes(name)))).slice(1, -1);
  const members = json.slice(1, -1).trim();
  return `{${[added, members].filter((part) => part !== "").join(",")}}`;
}
