/**
 * What a socket is due for: heartbeat, idle close, end of its allowed duration. Pure, times are monotonic ms.
 * The sweep wheel asks for every socket about once per sweep period. Tests: small.test.ts.
 */

export interface LifecycleLimits {
  heartbeatMs: number;
  idleMs: number;
  /** The warning comes this long before the end. */
  durationWarningMs: number;
}

export interface LifecycleState {
  openedAtMs: number;
  /** Last inbound message or protocol ping/pong. */
  inboundAtMs: number;
  pingAtMs: number;
  /** 0 = unlimited. */
  maxDurationMs: number;
  durationWarned: boolean;
}

export type LifecycleDue = "idle" | "duration_end" | "duration_warning" | "heartbeat";

/** Closing beats everything; a warning may come together with a heartbeat. */
export function lifecycleDue(state: LifecycleState, nowMs: number, limits: LifecycleLimits): LifecycleDue[] {
  if (nowMs - state.inboundAtMs >= limits.idleMs) return ["idle"];
  const due: LifecycleDue[] = [];
  if (state.maxDurationMs > 0) {
    const endsAt = state.openedAtMs + state.maxDurationMs;
    if (nowMs >= endsAt && state.durationWarned) return ["duration_end"];
    if (!state.durationWarned && nowMs >= endsAt - limits.durationWarningMs) due.push("duration_warning");
  }
  if (nowMs - state.pingAtMs >= limits.heartbeatMs) due.push("heartbeat");
  return due;
}
