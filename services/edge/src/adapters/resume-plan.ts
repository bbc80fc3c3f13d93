/** Where a subscription starts: at the live end, behind its cursor, or at a time; and whether something in between is lost. Tests: resume.int.test.ts. */
import type { CursorPayload } from "../domain/cursor.ts";
import type { FeedOptions } from "../domain/handshake.ts";
import { planResume, type StreamPosition } from "../domain/position.ts";
import type { StreamLog } from "../ports.ts";
import type { StreamHub } from "./hub.ts";

export interface StartPlan {
  /** undefined: join at the live end. */
  from: StreamPosition | undefined;
  /** Something before `from` that the client asked for is no longer kept. */
  hasGap: boolean;
  notBeforeMs: number | undefined;
  /** Events the client already counted. */
  count: number;
}

export interface PlanContext {
  hub: StreamHub;
  source: StreamLog;
  nowMs: number;
  /** How far back the tenant's plan reaches, ms. */
  replayMs: number;
}

/** A stored frame can be a little younger than the events in it, and clocks of two hosts differ. */
const CLOCK_MARGIN_MS = 1_000;

const LIVE: StartPlan = { from: undefined, hasGap: false, notBeforeMs: undefined, count: 0 };

/** The hub must be reading. Rejects when the broker is needed and not reachable. */
export async function planStart(
  resume: FeedOptions["resume"],
  cursor: CursorPayload | undefined,
  context: PlanContext,
): Promise<StartPlan> {
  if (cursor) return planFromCursor(cursor, context);
  return resume.kind === "since" ? planSince(resume.ms, context) : LIVE;
}

async function planFromCursor(cursor: CursorPayload, context: PlanContext): Promise<StartPlan> {
  const { hub, source } = context;
  const plan = (from: StreamPosition, hasGap: boolean): StartPlan => ({ from, hasGap, notBeforeMs: undefined, count: cursor.count });
  const isInRing = cursor.log === hub.logId && cursor.next >= hub.ring.from && cursor.next <= hub.position + 1;
  if (isInRing) return plan({ next: cursor.next, at: cursor.at }, false);
  let extent = await source.extent();
  if (cursor.log === extent.log && cursor.next > extent.lastSeq + 1) extent = await source.extent({ fresh: true });
  const found = planResume(cursor, { ...extent, lastSeq: Math.max(extent.lastSeq, hub.logId === extent.log ? hub.position : 0) });
  const floor = await planFloor(extent.firstTimeMs, context);
  if (floor !== undefined && found.from.next < floor) return plan({ next: floor, at: 0 }, true);
  return plan(found.from, found.kind === "gap");
}

async function planSince(sinceMs: number, context: PlanContext): Promise<StartPlan> {
  const { hub, source, nowMs } = context;
  // Nothing can be missing, but who asks for a beginning is told when it is over.
  if (sinceMs >= nowMs) return { ...LIVE, from: hub.end };
  const oldest = hub.ring.oldest;
  if (oldest && oldest.timeMs < sinceMs - CLOCK_MARGIN_MS) {
    const entry = hub.ring.firstAtOrAfterTime(sinceMs - CLOCK_MARGIN_MS);
    return { from: { next: entry?.seq ?? hub.position + 1, at: 0 }, hasGap: false, notBeforeMs: sinceMs, count: 0 };
  }
  const extent = await source.extent();
  const floor = await planFloor(extent.firstTimeMs, context);
  const oldestAllowedMs = nowMs - context.replayMs;
  if (floor !== undefined && sinceMs < oldestAllowedMs) {
    return { from: { next: floor, at: 0 }, hasGap: true, notBeforeMs: oldestAllowedMs, count: 0 };
  }
  // Nothing was ever dropped from a stream that still has its first message.
  const isCut = extent.firstSeq > 1 && extent.firstTimeMs > sinceMs;
  const next = isCut ? extent.firstSeq : await source.firstAtTime(sinceMs - CLOCK_MARGIN_MS);
  return { from: { next, at: 0 }, hasGap: isCut, notBeforeMs: sinceMs, count: 0 };
}

/** First sequence the plan may read, when the stream keeps more than the plan promises. */
async function planFloor(firstTimeMs: number, { source, nowMs, replayMs }: PlanContext): Promise<number | undefined> {
  const oldestAllowedMs = nowMs - replayMs;
  if (firstTimeMs === 0 || firstTimeMs >= oldestAllowedMs) return undefined;
  return source.firstAtTime(oldestAllowedMs);
}
