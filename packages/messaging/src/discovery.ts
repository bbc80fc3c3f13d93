/**
 * Asks every instance of every service for its STATS over the micro services API, and collects what comes back.
 * Any number of answers may arrive, so this is a question with a time limit. Tests: packages/cli/src/commands/system.int.test.ts.
 */
import { type Nats, newInbox } from "./connection.ts";

/** One instance, as it answered `$SRV.STATS`. */
export interface ServiceInstance {
  service: string;
  /** Stable per slot, `scoring-0`. */
  instance: string;
  version: string;
  /** ISO time. */
  started: string;
  metadata: Record<string, string>;
  /** What the instance itself reports: lanes, lag, sockets, … */
  status: Record<string, unknown>;
  /** By endpoint; times in ns. */
  endpoints: { name: string; requests: number; errors: number; averageNs: number }[];
}

/** Waits `withinMs` after the question; ends early once nothing more came for `quietMs` after the first answer. */
export async function discoverServices(nats: Nats, options: { withinMs?: number; quietMs?: number } = {}): Promise<ServiceInstance[]> {
  const inbox = newInbox(nats);
  const found: ServiceInstance[] = [];
  const done = Promise.withResolvers<void>();
  const limit = setTimeout(done.resolve, options.withinMs ?? 2_000);
  let quiet: NodeJS.Timeout | undefined;
  const subscription = nats.core.subscribe(inbox, {
    callback: (msg) => {
      const instance = msg.status === 0 ? parseStats(new TextDecoder().decode(msg.data)) : undefined;
      if (instance) found.push(instance);
      clearTimeout(quiet);
      quiet = setTimeout(done.resolve, options.quietMs ?? 300);
    },
  });
  try {
    nats.core.publish("$SRV.STATS", "", { reply: inbox });
    await done.promise;
  } finally {
    clearTimeout(limit);
    clearTimeout(quiet);
    if (!nats.closed) subscription.unsubscribe();
  }
  return found.toSorted((a, b) => a.instance.localeCompare(b.instance));
}

/** undefined for anything that is not a STATS answer: other programs may use the same API. */
function parseStats(text: string): ServiceInstance | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // not ours
  }
  if (!isObject(value) || typeof value["name"] !== "string" || typeof value["id"] !== "string") return undefined;
  const rows = (Array.isArray(value["endpoints"]) ? value["endpoints"] : []).filter(isObject);
  const data = rows.map((row) => row["data"]).find(isObject);
  const metadata = isObject(value["metadata"]) ? value["metadata"] : {};
  return {
    service: value["name"],
    instance: value["id"],
    version: String(value["version"] ?? ""),
    started: String(value["started"] ?? ""),
    metadata: Object.fromEntries(Object.entries(metadata).map(([name, entry]) => [name, String(entry)])),
    status: data ?? {},
    endpoints: rows.map((row) => ({
      name: String(row["name"]),
      requests: Number(row["num_requests"] ?? 0),
      errors: Number(row["num_errors"] ?? 0),
      averageNs: Number(row["average_processing_time"] ?? 0),
    })),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
