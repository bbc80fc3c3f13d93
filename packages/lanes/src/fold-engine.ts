/**
 * Folds decoded items into a LaneState and collects their outputs. Shared by live folding, replay and refold, so the three
 * cannot drift apart. No I/O. Tests: fold-engine.test.ts.
 */
import { FoldFailure } from "./errors.ts";
import type { ItemOutputs, PendingOutput } from "./frame-batch.ts";
import type { LaneState } from "./lane-state.ts";
import type { Decoded, FoldContext, LaneFamily, SideEffect } from "./types.ts";

export type Item<Input> = { seq: number; index: number; isLast: boolean } & (
  | { kind: "input"; input: Input }
  | { kind: "bad"; reason: string; raw: string }
  | { kind: "skipped" }
);

/** One stored message as items; an empty or undecodable message is one bad item, so that every message has a last item. */
export function itemsOf<Input>(
  family: Pick<LaneFamily<Input, never, never>, "decode">,
  message: { seq: number; data: Uint8Array },
  isSkipped: (seq: number, index: number) => boolean,
): Item<Input>[] {
  let decoded: Decoded<Input>[];
  try {
    decoded = family.decode(message.data);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    decoded = [{ ok: false, reason: `not decodable: ${reason}`, raw: new TextDecoder().decode(message.data) }];
  }
  if (decoded.length === 0) decoded = [{ ok: false, reason: "no items", raw: new TextDecoder().decode(message.data) }];
  return decoded.map((item, index): Item<Input> => {
    const place = { seq: message.seq, index, isLast: index === decoded.length - 1 };
    if (!item.ok) return { ...place, kind: "bad", reason: item.reason, raw: item.raw };
    return isSkipped(message.seq, index) ? { ...place, kind: "skipped" } : { ...place, kind: "input", input: item.input };
  });
}

export interface FoldResult {
  /** Items that put something out, and always the last item. */
  outputs: ItemOutputs[];
  effects: SideEffect[];
}

export class FoldEngine<Input, State, Config> {
  readonly #family: LaneFamily<Input, State, Config>;
  readonly #state: LaneState<State>;
  readonly #configAt: (reg: number) => Config;
  #configReg = -1;
  #config: Config | undefined;

  constructor(family: LaneFamily<Input, State, Config>, state: LaneState<State>, configAt: (reg: number) => Config) {
    this.#family = family;
    this.#state = state;
    this.#configAt = configAt;
  }

  /** Keys of these items that have to be looked up in the cold table first. @throws FoldFailure when `keysOf` throws */
  coldKeys(items: readonly Item<Input>[]): string[] {
    const keys = new Set<string>();
    for (const item of items) {
      if (item.kind !== "input") continue;
      try {
        for (const key of this.#family.keysOf(item.input)) keys.add(key);
      } catch (error) {
        throw new FoldFailure(item, error);
      }
    }
    return this.#state.coldCandidates(keys);
  }

  /** Config records that these items speak of and that the config at `reg` does not hold. @throws FoldFailure */
  missingConfig(items: readonly Item<Input>[], reg: number): string[] {
    const ids = new Set<string>();
    if (this.#family.missingConfig === undefined) return [];
    const config = this.#configFor(reg);
    for (const item of items) {
      if (item.kind !== "input") continue;
      try {
        const id = this.#family.missingConfig(config, item.input);
        if (id !== undefined) ids.add(id);
      } catch (error) {
        throw new FoldFailure(item, error);
      }
    }
    return [...ids];
  }

  /**
   * Folds items that all use the config of `reg`.
   * @param isEmitting false in replays: outputs and side effects of these inputs exist already.
   * @throws FoldFailure; the state is then half changed.
   */
  fold(items: readonly Item<Input>[], reg: number, isEmitting: boolean): FoldResult {
    const config = this.#configFor(reg);
    const state = this.#state;
    const result: FoldResult = { outputs: [], effects: [] };
    let pending: PendingOutput[] = [];
    const context: FoldContext<State, Config> = {
      config,
      state: (key) => state.touch(key),
      peek: (key) => state.peek(key),
      delete: (key) => state.delete(key),
      emit: isEmitting ? (routingKey, wire, ext) => void pending.push({ routingKey, wire, ext }) : () => undefined,
      sideEffect: isEmitting ? (effect) => void result.effects.push(effect) : () => undefined,
    };
    state.beginChunk();
    items.forEach((item, i) => {
      if (item.kind === "input") {
        try {
          this.#family.fold(context, item.input, item);
        } catch (error) {
          throw new FoldFailure({ seq: item.seq, index: item.index }, error);
        }
      }
      if (!isEmitting || (pending.length === 0 && i < items.length - 1)) return;
      result.outputs.push({ seq: item.seq, index: item.index, isLast: item.isLast, outputs: pending });
      pending = [];
    });
    state.endChunk();
    return result;
  }

  #configFor(reg: number): Config {
    if (this.#config === undefined || this.#configReg !== reg) {
      this.#config = this.#configAt(reg);
      this.#configReg = reg;
    }
    return this.#config;
  }
}
