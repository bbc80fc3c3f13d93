/** Names of automatic analyses. Tests: auto-small.test.ts. */
import { createHash } from "node:crypto";
import type { Run } from "../domain/schedule.ts";

/** The same for every instance that might make the analysis, and for no other one. */
export function runId({ feedId, topic, tick }: Pick<Run, "feedId" | "topic" | "tick">): string {
  return createHash("sha256")
    .update(JSON.stringify([feedId, topic ?? null, tick]))
    .digest("base64url")
    .slice(0, 32);
}
