/**
 * Which registry position was used for which inputs: `[firstSeq, reg]` = from input message `firstSeq` on, `reg` applied.
 * Frames carry the part since the oldest durable snapshot, PostgreSQL keeps all of it. Pure; tests: registry-log.test.ts.
 */
export type RegChange = [firstSeq: number, reg: number];

export class RegistryLog {
  #changes: RegChange[];

  constructor(changes: readonly RegChange[] = []) {
    const bySeq = new Map<number, number>(changes.map(([seq, reg]) => [seq, reg]));
    this.#changes = [...bySeq].sort(([a], [b]) => a - b);
  }

  /** Registry position for an input message. Inputs before the first known change use the first known position. */
  at(seq: number): number {
    for (let i = this.#changes.length - 1; i >= 0; i--) {
      const change = this.#changes[i];
      if (change && change[0] <= seq) return change[1];
    }
    return this.#changes[0]?.[1] ?? 0;
  }

  /** Position in force for whatever comes next. */
  get current(): number {
    return this.#changes.at(-1)?.[1] ?? 0;
  }

  /** From `firstSeq` on `reg` applies. `firstSeq` never goes back. */
  adopt(firstSeq: number, reg: number): void {
    const last = this.#changes.at(-1);
    if (last && last[1] === reg) return;
    if (last && last[0] === firstSeq) last[1] = reg;
    else this.#changes.push([firstSeq, reg]);
  }

  /** What a replay that starts behind `safeIn` needs: the change in force there and all later ones. */
  since(safeIn: number): RegChange[] {
    let first = 0;
    this.#changes.forEach(([seq], i) => {
      if (seq <= safeIn + 1) first = i;
    });
    return this.#changes.slice(first).map(([seq, reg]) => [seq, reg]);
  }

  /** Forgets what `since(safeIn)` would not return. */
  trim(safeIn: number): void {
    this.#changes = this.since(safeIn);
  }

  get length(): number {
    return this.#changes.length;
  }
}
