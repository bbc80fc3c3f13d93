/**
 * Duplicate memory of one visitor: event ids of the last 24 hours of receive time, at most 1,000 of them.
 * Mutates the visitor's state, nothing else. Tests: seen-ids.test.ts.
 */
import { BOUNDS } from "./config.ts";
import { PACKED_ID_LENGTH, packedId } from "./hashing.ts";
import type { VisitorState } from "./visitor-state.ts";

const HOUR_MS = 3_600_000;
const MEMORY_HOURS = 24;

/**
 * Remembers `eid`; false when it was already known (then the state is unchanged).
 * @param ts receive time of the event, ms.
 */
export function rememberEventId(state: VisitorState, eid: string, ts: number): boolean {
  const hour = Math.floor(ts / HOUR_MS);
  const id = packedId(eid);
  if (state.seen.some((bucket) => bucket.hour >= hour - MEMORY_HOURS && holds(bucket.ids, id))) return false;
  const newest = state.seen.at(-1);
  // Receive times of a lane may step back a little between collectors; such an id joins the newest hour.
  if (newest !== undefined && newest.hour >= hour) newest.ids += id;
  else {
    state.seen.push({ hour, ids: id });
    state.seen = state.seen.filter((bucket) => bucket.hour >= hour - MEMORY_HOURS);
  }
  dropOldestAbove(state, BOUNDS.seenIds);
  return true;
}

function holds(ids: string, id: string): boolean {
  for (let at = ids.indexOf(id); at !== -1; at = ids.indexOf(id, at + 1)) {
    if (at % PACKED_ID_LENGTH === 0) return true;
  }
  return false;
}

function dropOldestAbove(state: VisitorState, limit: number): void {
  let excess = -limit * PACKED_ID_LENGTH;
  for (const bucket of state.seen) excess += bucket.ids.length;
  while (excess > 0) {
    const oldest = state.seen[0];
    if (oldest === undefined) return;
    if (oldest.ids.length <= excess) {
      excess -= oldest.ids.length;
      state.seen.shift();
    } else {
      oldest.ids = oldest.ids.slice(excess);
      excess = 0;
    }
  }
}
