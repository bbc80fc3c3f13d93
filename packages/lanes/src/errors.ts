/** Reasons for a runner to start over. Not exported from the package. */
import type { Position } from "./types.ts";

/** The family's fold threw at this item: state is half changed and must be restored. */
export class FoldFailure extends Error {
  override readonly name = "FoldFailure";
  readonly at: Position;
  constructor(at: Position, cause: unknown) {
    super(`fold failed at ${at.seq}/${at.index}: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)}`, { cause });
    this.at = at;
  }
}

/** The lane was told to stop while it waited. */
export class Stopping extends Error {
  override readonly name = "Stopping";
}
