/** Public surface of the engine under every stateful worker. See ../README.md. */
import { fileURLToPath } from "node:url";

export { canonicalJson, hashState } from "./canonical.ts";
export { createLeases, type LaneLease, type LeaseOptions, type Leases } from "./leases.ts";
export { desiredOwners } from "./ownership.ts";
export { refold, type RefoldDeps, type RefoldResult } from "./refold.ts";
export {
  CRASH_POINTS,
  type CrashPoint,
  type Decoded,
  DEFAULT_OPTIONS,
  type FoldContext,
  type LaneFamily,
  type LaneOptions,
  type LanePhase,
  type LaneStatus,
  LogReplaced,
  NewerSnapshot,
  OwnershipLost,
  type Position,
  Replaced,
  type SideEffect,
  UndeclaredKey,
} from "./types.ts";
export { type LaneRequestContext, type LanesDeps, type LaneWorker, startLanes } from "./worker.ts";

/** Folder of the migrations of PostgreSQL schema `lanes`. */
export const LANES_MIGRATIONS = fileURLToPath(new URL("../migrations", import.meta.url));
export const LANES_SCHEMA = "lanes";
