/**
 * The verdict of a feed run, from three independent sources: what is in the log (read back with the bare client), what subscribers wrote
 * down, and what the upstream saw of connections. Shares no code with the product. Tests: feed-checker.unit.test.ts.
 */
import type { UpstreamConnectionFact } from "../../support/upstream-role.ts";

export interface LoggedMessage {
  /** `<run>.<n>.<feed>` */
  id: string;
  feed: number;
  topic: number;
  dueUs: number;
}

export interface FeedVerdict {
  logged: number;
  /** Ids stored more than once. */
  storedTwice: string[];
  /** Per client together: `client: id`, first few. */
  lost: string[];
  duplicated: string[];
  /** Not in the log, or not asked for. */
  phantom: string[];
  /** Delivered after a later message of the same feed and topic. */
  reordered: string[];
  gaps: string[];
  delivered: number;
  /** Longest time between a message's due time and its delivery, ms. */
  longestDelayMs: number;
}

/** @param keys of each client: `<feed>` or `<feed>.<topic>`. */
export function judgeFeeds(log: readonly LoggedMessage[], recordText: string, keys: readonly ReadonlySet<string>[]): FeedVerdict {
  const stored = new Map<string, LoggedMessage>();
  const verdict: FeedVerdict = {
    logged: 0,
    storedTwice: [],
    lost: [],
    duplicated: [],
    phantom: [],
    reordered: [],
    gaps: [],
    delivered: 0,
    longestDelayMs: 0,
  };
  for (const message of log) {
    if (stored.has(message.id)) verdict.storedTwice.push(message.id);
    stored.set(message.id, message);
  }
  verdict.logged = stored.size;
  const wants = (client: number, { feed, topic }: LoggedMessage): boolean =>
    keys[client]?.has(`${feed}`) === true || keys[client]?.has(`${feed}.${topic}`) === true;
  const seen = keys.map(() => new Set<string>());
  const newest = keys.map(() => new Map<string, number>());
  const lines = recordText.split("\n");
  // A line without its end was cut by the reader.
  lines.pop();
  for (const line of lines) {
    const [kind = "", clientText = "", id = "", topic = "", us = ""] = line.split(" ");
    const client = Number(clientText);
    const told = `${client}: ${id}`;
    if (kind === "G") verdict.gaps.push(line);
    if (kind !== "E") continue;
    verdict.delivered++;
    const message = stored.get(id);
    if (!message || !wants(client, message) || message.topic !== Number(topic)) verdict.phantom.push(told);
    if (seen[client]?.has(id)) {
      verdict.duplicated.push(told);
      continue;
    }
    seen[client]?.add(id);
    if (message) verdict.longestDelayMs = Math.max(verdict.longestDelayMs, (Number(us) - message.dueUs) / 1000);
    const [, n = "", feed = ""] = id.split(".");
    const stream = `${feed}.${topic}`;
    if (Number(n) < (newest[client]?.get(stream) ?? -1)) verdict.reordered.push(told);
    else newest[client]?.set(stream, Number(n));
  }
  for (const message of stored.values())
    for (const client of keys.keys())
      if (wants(client, message) && !seen[client]?.has(message.id)) verdict.lost.push(`${client}: ${message.id}`);
  return verdict;
}

/** How many deliveries the log asks for. */
export function deliveriesDue(log: readonly LoggedMessage[], keys: readonly ReadonlySet<string>[]): number {
  let due = 0;
  for (const { feed, topic } of log) for (const each of keys) if (each.has(`${feed}`) || each.has(`${feed}.${topic}`)) due++;
  return due;
}

export interface ConnectionVerdict {
  /** Feeds that did not get exactly one connection after the fault. */
  notOnce: string[];
  /** Feeds that had two connections at the same time. */
  doubled: number[];
  /** From the fault to the last feed's new connection, ms. */
  slowestMs: number;
}

/** @param expected new connections of each feed after `faultUs`: 1 for the process that holds them, 0 for every other. */
export function judgeConnections(
  facts: readonly UpstreamConnectionFact[],
  feeds: number,
  fault: { faultUs: number; untilUs: number; expected: number },
): ConnectionVerdict {
  const verdict: ConnectionVerdict = { notOnce: [], doubled: [], slowestMs: 0 };
  for (let feed = 0; feed < feeds; feed++) {
    const own = facts.filter((fact) => fact.feed === feed).toSorted((a, b) => a.openedUs - b.openedUs);
    const after = own.filter(({ openedUs }) => openedUs > fault.faultUs && openedUs <= fault.untilUs);
    const open = own.filter(({ closedUs }) => closedUs === undefined).length;
    if (after.length !== fault.expected || open !== 1) verdict.notOnce.push(`feed ${feed}: ${after.length} new, ${open} open`);
    if (own.some((fact, i) => i > 0 && (own[i - 1]?.closedUs ?? Number.POSITIVE_INFINITY) > fact.openedUs)) verdict.doubled.push(feed);
    for (const { openedUs } of after) verdict.slowestMs = Math.max(verdict.slowestMs, (openedUs - fault.faultUs) / 1000);
  }
  return verdict;
}
