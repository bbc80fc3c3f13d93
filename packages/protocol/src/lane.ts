/**
 * Lanes: how a key finds its one writer (docs/architecture.md, "Lanes").
 * Pure; tested by lane.test.ts against vectors/lanes.json.
 */

/** Number of lanes of every family. Fixed at install, recorded in KV `cfg`; a process configured otherwise refuses to run. */
export const LANE_COUNT = 16;

const encoder = new TextEncoder();

/** FNV-1a 32 over UTF-8: the same function as the NATS server's `partition()` mapping. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return fnv1a32Bytes(encoder.encode(text));
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  return hash >>> 0;
}

function fnv1a32Bytes(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Lane of a key, `0 … laneCount-1`. Keys: visitor `tenant:visitorId`, emotion `tenant:sessionId`, posts `source:authorId`, feeds `feedId`. */
export function laneOf(key: string, laneCount: number = LANE_COUNT): number {
  return fnv1a32(key) % laneCount;
}

/** Lane key of a visitor: everything of one visitor of one tenant is folded in one lane. */
export function visitorKey(tenantId: string, visitorId: string): string {
  return `${tenantId}:${visitorId}`;
}
