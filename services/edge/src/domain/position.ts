/** Positions in an output stream, always naming the place after something. Tests: small.test.ts. */

export interface StreamPosition {
  /** Stream sequence of the next message to read. */
  next: number;
  /** Outputs of message `next` that are already behind this position. */
  at: number;
}

/** Where a client that wants to continue stands relative to what is kept. */
export type ResumePlan =
  | { kind: "continue"; from: StreamPosition }
  /** Continuity cannot be proven: told as a gap, continued from the oldest kept. */
  | { kind: "gap"; from: StreamPosition };

export interface LogExtent {
  log: number;
  /** Oldest kept sequence; `lastSeq + 1` when nothing is kept. */
  firstSeq: number;
  lastSeq: number;
}

/** A position of another log, behind retention or ahead of the end of the log cannot be continued. */
export function planResume(cursor: StreamPosition & { log: number }, extent: LogExtent): ResumePlan {
  const continues = cursor.log === extent.log && cursor.next >= extent.firstSeq && cursor.next <= extent.lastSeq + 1;
  if (continues) return { kind: "continue", from: { next: cursor.next, at: cursor.at } };
  return { kind: "gap", from: { next: extent.firstSeq, at: 0 } };
}
