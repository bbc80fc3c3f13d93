/**
 * Joins what the generator wrote with what the subscribers wrote and says what the system did to the events. Shares no code with the
 * product and knows only the line formats of ledger.ts. Tests: checker.unit.test.ts.
 */

export interface Verdict {
  sent: number;
  acked: number;
  /** Sent, never answered: may be either. */
  unknown: number;
  clients: ClientVerdict[];
  /** Longest time from an event's acknowledgement to its first delivery anywhere, ms. */
  longestDelayMs: number;
}

export interface ClientVerdict {
  client: number;
  delivered: number;
  /** Acknowledged, not delivered. First few ids. */
  lost: string[];
  /** Delivered more than once. */
  duplicated: string[];
  /** Delivered after a later event of the same visitor. */
  reordered: string[];
  /** Delivered, never sent. */
  phantom: string[];
  /** Gaps the feed told this client about. */
  gaps: string[];
  /** Places where the feed's own counter did not go up by one. */
  counterBreaks: string[];
}

interface Delivery {
  client: number;
  id: string;
  seq: number;
  us: number;
}

export interface Facts {
  sentUs: Map<string, number>;
  ackedUs: Map<string, number>;
  refused: Set<string>;
  deliveries: Delivery[];
  gaps: { client: number; text: string }[];
  clients: Set<number>;
}

export function readFacts(ledgerText: string, recordText: string): Facts {
  const facts: Facts = { sentUs: new Map(), ackedUs: new Map(), refused: new Set(), deliveries: [], gaps: [], clients: new Set() };
  for (const line of wholeLines(ledgerText)) {
    const [kind, id = "", value = ""] = line.split(" ");
    if (kind === "S") facts.sentUs.set(id, Number(value));
    else if (kind === "A") facts.ackedUs.set(id, Number(value));
    else if (kind === "X") facts.refused.add(id);
    else throw new Error(`not a ledger line: ${line}`);
  }
  for (const line of wholeLines(recordText)) {
    const [kind, client = "", ...rest] = line.split(" ");
    facts.clients.add(Number(client));
    if (kind === "E") facts.deliveries.push({ client: Number(client), id: rest[0] ?? "", seq: Number(rest[1]), us: Number(rest[2]) });
    else if (kind === "G") facts.gaps.push({ client: Number(client), text: rest.join(" ") });
    else if (kind !== "C") throw new Error(`not a record line: ${line}`);
  }
  return facts;
}

/** @param clientCount clients that were there from the first event on; one that never received anything has lost everything. */
export function judge(facts: Facts, clientCount: number): Verdict {
  const first = new Map<string, number>();
  for (const { id, us } of facts.deliveries) if (us < (first.get(id) ?? Number.POSITIVE_INFINITY)) first.set(id, us);
  let longestDelayUs = 0;
  for (const [id, ackedUs] of facts.ackedUs) {
    const us = first.get(id);
    if (us !== undefined) longestDelayUs = Math.max(longestDelayUs, us - ackedUs);
  }
  return {
    sent: facts.sentUs.size,
    acked: facts.ackedUs.size,
    unknown: facts.sentUs.size - facts.ackedUs.size - facts.refused.size,
    clients: Array.from({ length: clientCount }, (_, client) => judgeClient(facts, client)),
    longestDelayMs: longestDelayUs / 1000,
  };
}

function judgeClient(facts: Facts, client: number): ClientVerdict {
  const seen = new Set<string>();
  const newest = new Map<string, number>();
  const verdict: ClientVerdict = {
    client,
    delivered: 0,
    lost: [],
    duplicated: [],
    reordered: [],
    phantom: [],
    gaps: [],
    counterBreaks: [],
  };
  let seq: number | undefined;
  for (const delivery of facts.deliveries) {
    if (delivery.client !== client) continue;
    const { id } = delivery;
    verdict.delivered++;
    if (seq !== undefined && delivery.seq !== seq + 1) verdict.counterBreaks.push(`${seq} → ${delivery.seq} at ${id}`);
    seq = delivery.seq;
    if (!facts.sentUs.has(id)) verdict.phantom.push(id);
    if (seen.has(id)) {
      verdict.duplicated.push(id);
      continue;
    }
    seen.add(id);
    // An id is `<run>.<number>.<visitor>`; a visitor's numbers were accepted in rising order.
    const [run = "", number = "", visitor = ""] = id.split(".");
    const key = `${run}.${visitor}`;
    const n = Number.parseInt(number, 36);
    if (n < (newest.get(key) ?? -1)) verdict.reordered.push(id);
    else newest.set(key, n);
  }
  for (const id of facts.ackedUs.keys()) if (!seen.has(id)) verdict.lost.push(id);
  verdict.gaps = facts.gaps.filter((gap) => gap.client === client).map((gap) => gap.text);
  return verdict;
}

/** Time from a fault to the first delivery of an event that was sent after it, ms; undefined = none came. */
export function recoveryMs(facts: Facts, faultUs: number): number | undefined {
  let soonest = Number.POSITIVE_INFINITY;
  for (const { id, us } of facts.deliveries) if ((facts.sentUs.get(id) ?? 0) > faultUs && us < soonest) soonest = us;
  return Number.isFinite(soonest) ? (soonest - faultUs) / 1000 : undefined;
}

/** Longest acknowledgement-to-delivery time of events acknowledged in a window, ms: how long the slowest lane stood still. */
export function longestFreezeMs(facts: Facts, fromUs: number, toUs: number): number {
  const first = new Map<string, number>();
  for (const { id, us } of facts.deliveries) if (!first.has(id)) first.set(id, us);
  let longest = 0;
  for (const [id, us] of facts.ackedUs) if (us >= fromUs && us <= toUs) longest = Math.max(longest, (first.get(id) ?? us) - us);
  return longest / 1000;
}

/** What the invariants demand, as one object to compare with; ids are cut so that a failure stays readable. */
export function summary(verdict: Verdict): Record<string, unknown> {
  const all = <K extends "lost" | "duplicated" | "reordered" | "phantom" | "gaps" | "counterBreaks">(kind: K): string[] =>
    verdict.clients.flatMap((client) => client[kind].slice(0, 3).map((id) => `client ${client.client}: ${id}`)).slice(0, 10);
  return {
    unknown: verdict.unknown,
    lost: all("lost"),
    duplicated: all("duplicated"),
    reordered: all("reordered"),
    phantom: all("phantom"),
    gaps: all("gaps"),
    counterBreaks: all("counterBreaks"),
  };
}

export const CLEAN = { unknown: 0, lost: [], duplicated: [], reordered: [], phantom: [], gaps: [], counterBreaks: [] };

function wholeLines(text: string): string[] {
  const lines = text.split("\n");
  // A line without its end was cut by the reader, not by the writer.
  lines.pop();
  return lines;
}
