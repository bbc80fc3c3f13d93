/**
 * Slots held at the same time, as the owner of a limit lane keeps them: what each instance said last. Instances that stopped repeating are
 * forgotten after HOLD_TTL_MS, so the slots of a killed one come free. Pure; it holds no more than the instances do. Tests: limit-holds.test.ts.
 */
import { HOLD_TTL_MS, type HoldAnswer, type HoldRequest } from "@headwater/protocol";

interface Said {
  held: number;
  untilMs: number;
}

export class LimitHolds {
  readonly #slots = new Map<string, Map<string, Said>>();

  get size(): number {
    return this.#slots.size;
  }

  /** Takes over what the instance holds and grants of what it wants as much as is free. @returns in the order asked. */
  apply({ instanceId, holds }: HoldRequest, nowMs: number): HoldAnswer {
    return {
      holds: holds.map(({ key, limit, held, want }) => {
        const said = this.#slots.get(key) ?? new Map<string, Said>();
        let others = 0;
        for (const [id, one] of said) {
          if (one.untilMs <= nowMs) said.delete(id);
          else if (id !== instanceId) others += one.held;
        }
        const granted = Math.min(want, Math.max(0, limit - others - held));
        if (held + granted > 0) said.set(instanceId, { held: held + granted, untilMs: nowMs + HOLD_TTL_MS });
        else said.delete(instanceId);
        if (said.size > 0) this.#slots.set(key, said);
        else this.#slots.delete(key);
        return { others, granted };
      }),
    };
  }

  /** Frees the memory of keys nobody asks about any more. */
  forgetExpired(nowMs: number): void {
    for (const [key, said] of this.#slots) {
      for (const [id, { untilMs }] of said) if (untilMs <= nowMs) said.delete(id);
      if (said.size === 0) this.#slots.delete(key);
    }
  }
}
