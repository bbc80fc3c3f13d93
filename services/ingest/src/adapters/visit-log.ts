/** Appends visit lines to their lanes by group commit and speaks of failures in intake's own terms. Tests: faults.int.test.ts. */
import { laneOf, visitorKey } from "@headwater/protocol";
import { AppendError, type GroupCommit } from "@headwater/messaging";
import { IntakeRefused, type VisitLine, type VisitLog } from "../ports.ts";

export function createVisitLog(commit: GroupCommit): VisitLog {
  return {
    isUp: () => commit.admit(0) !== "down",
    async append(lines) {
      const byLane = groupByLane(lines);
      let bytes = 0;
      for (const line of lines) bytes += line.line.length;
      // Asked for all lanes at once, so that a batch is not half taken because one lane is full.
      const admission = commit.admit(bytes, [...byLane.keys()]);
      if (admission !== "ok") throw new IntakeRefused(admission === "full" ? "busy" : "overloaded");
      await Promise.all([...byLane].map(([lane, texts]) => commit.appendMany(lane, texts))).catch((error: unknown) => {
        throw intakeRefusal(error);
      });
    },
  };
}

function groupByLane(lines: readonly VisitLine[]): Map<number, string[]> {
  const byLane = new Map<number, string[]>();
  for (const { tenantId, visitorId, line } of lines) {
    const lane = laneOf(visitorKey(tenantId, visitorId));
    const texts = byLane.get(lane);
    if (texts) texts.push(line);
    else byLane.set(lane, [line]);
  }
  return byLane;
}

/** Anything that is not an AppendError is a bug of ours and stays what it is. */
export function intakeRefusal(error: unknown): unknown {
  if (!(error instanceof AppendError)) return error;
  return new IntakeRefused(error.code === "backpressure" ? "busy" : "overloaded", { cause: error });
}
