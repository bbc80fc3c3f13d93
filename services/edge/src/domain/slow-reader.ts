/** When a reader is too slow to keep (docs/signals.md, backpressure). Pure; tests: small.test.ts. */

export interface QueueLimits {
  /** Bytes queued for one socket, counting what is about to be sent. */
  maxBufferedBytes: number;
  /** Longest time without any progress of the socket while data is pending. */
  noProgressMs: number;
  /** Surfaces that leave out frames rather than close: a queue that stays full this long is closed after all. */
  maxFullMs?: number;
}

export interface QueueState {
  bufferedBytes: number;
  /** Monotonic ms of the last byte run the kernel took, or of the moment the queue became non-empty. */
  progressAtMs: number;
}

/** Checked before each send: the frame about to be sent counts, or the cap overshoots by one frame. */
export function overflows(state: QueueState, sendBytes: number, limits: QueueLimits): boolean {
  return state.bufferedBytes > 0 && state.bufferedBytes + sendBytes > limits.maxBufferedBytes;
}

export function isStuck(state: QueueState, nowMs: number, limits: QueueLimits): boolean {
  return state.bufferedBytes > 0 && nowMs - state.progressAtMs >= limits.noProgressMs;
}
