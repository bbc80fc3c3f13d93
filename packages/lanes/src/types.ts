/**
 * What a family of lanes brings (pure functions over its own state) and what the engine gives back.
 * Shapes only; the rules behind them are in ../README.md.
 */
import type { InputFamily, OutputFamily } from "@headwater/protocol";

export type Decoded<Input> = { ok: true; input: Input } | { ok: false; reason: string; raw: string };

/** A message that must be stored before the frame that follows from the same inputs. Repeated after a crash, so it must be idempotent. */
export interface SideEffect {
  subject: string;
  payload: string;
  msgId: string;
}

/** What a fold may do. Everything is synchronous; nothing outside this object may be read or changed. */
export interface FoldContext<State, Config> {
  /** Config at the registry position recorded for this input. */
  readonly config: Config;
  /** State of a declared key, created when absent. May be mutated in place until `fold` returns. @throws UndeclaredKey */
  state(key: string): State;
  /** State of a declared key for reading only; undefined when absent. @throws UndeclaredKey */
  peek(key: string): State | undefined;
  /** Forgets a declared key. */
  delete(key: string): void;
  /**
   * One output. `wire` is the exact JSON line of the contract; `ext.k` is set by the engine to the index of `routingKey` in the
   * frame's header. Both must be free of newlines.
   */
  emit(routingKey: string, wire: string, ext: { k: number }): void;
  sideEffect(effect: SideEffect): void;
}

export interface Position {
  /** Sequence in the lane's input stream. */
  seq: number;
  /** Place inside that message, from 0. */
  index: number;
}

export interface LaneFamily<Input, State, Config> {
  /** Snapshot and lease key: `visits`. */
  family: string;
  /** Generation of the input streams: `g1`. */
  gen: string;
  input: InputFamily;
  output: OutputFamily;
  /** Stream that stores the output subjects: `SIGNALS`. */
  outputStream: string;
  /** Who is named in dead letters; must be allowed to publish `dlq.<service>`. */
  service: string;
  /**
   * The input stream drops its oldest by itself (bytes or age) and nobody promised more: lost input is counted and not an error, and the
   * stream is never purged. `refold` then proves nothing once something was dropped.
   */
  isInputLossy?: boolean;
  /** Version of the serialised state. A snapshot with a newer one is refused. */
  schema: number;
  /** One stored message into its items in order, always the same number for the same bytes. A throw makes the whole message one bad item. */
  decode(data: Uint8Array): Decoded<Input>[];
  /** Every state key the fold of this input may touch. The first one decides nothing special. */
  keysOf(input: Input): readonly string[];
  /**
   * Id of a config record that this input speaks of and that `config` does not hold. The engine then first reads the registry up to now,
   * once per id and position, so that a record is never missed that was written before the input was.
   */
  missingConfig?(config: Config, input: Input): string | undefined;
  newState(key: string): State;
  /** Pure and deterministic. A throw is a bug in the fold: see "Poison" in the README. */
  fold(context: FoldContext<State, Config>, input: Input, position: Position): void;
  /** JSON value from which `deserialize` makes an equal state. Must not keep references into the state. */
  serialize(state: State): unknown;
  /** `schema` is the version it was written with, at most the current one: upcast here. */
  deserialize(json: unknown, schema: number): State;
  /** Bytes of memory, roughly. */
  sizeOf(state: State): number;
}

/** Places where a test may kill or stop the process. */
export type CrashPoint = "before_publish" | "after_publish_before_ack" | "mid_snapshot" | "after_take_over";
export const CRASH_POINTS: readonly CrashPoint[] = ["before_publish", "after_publish_before_ack", "mid_snapshot", "after_take_over"];

export interface LaneOptions {
  laneCount: number;
  /** Share of memory for the hot state of one lane; beyond it the least recently used keys spill to PostgreSQL. */
  hotBytesPerLane: number;
  snapshotEveryMs: number;
  snapshotEveryEvents: number;
  maxChunkEvents: number;
  /** Frames a second of one worker above which its lanes take turns, so that chunks fill. */
  framesPerSecond: number;
  /** Inputs without outputs advance the stored position at least this often. */
  emptyFrameMs: number;
  idleFrameMs: number;
  maxFrameBytes: number;
  /** What one input item puts out may be this large; more is poison. With headers below the output stream's largest message. */
  hardFrameBytes: number;
  /** A newer registry position is taken into use at most this often. */
  adoptConfigEveryMs: number;
  leaseTtlMs: number;
  renewMs: number;
  /** Stop publishing when the last confirmed renewal is older than this. */
  selfFenceMs: number;
  publishTimeoutMs: number;
  /** How often the input stream is measured for purging. */
  purgeCheckMs: number;
  /** Share of `max_bytes` above which finished input is purged. */
  purgeAboveShare: number;
  /** Input must be kept at least three times this long. */
  maxSnapshotAgeMs: number;
  /** Fold failures of one item before it goes to the dead letters. */
  poisonTries: number;
  /** Called at each crash point; tests kill the process or throw here. */
  onCrashPoint?: (point: CrashPoint, at: { lane: number }) => void | Promise<void>;
}

export const DEFAULT_OPTIONS: LaneOptions = {
  laneCount: 16,
  hotBytesPerLane: 32 * 1024 * 1024,
  snapshotEveryMs: 10_000,
  snapshotEveryEvents: 50_000,
  maxChunkEvents: 512,
  framesPerSecond: 1_500,
  emptyFrameMs: 1_000,
  idleFrameMs: 600_000,
  maxFrameBytes: 512 * 1024,
  hardFrameBytes: 1024 * 1024 - 16 * 1024,
  adoptConfigEveryMs: 1_000,
  leaseTtlMs: 5_000,
  renewMs: 1_500,
  selfFenceMs: 3_500,
  publishTimeoutMs: 2_000,
  purgeCheckMs: 15_000,
  purgeAboveShare: 0.8,
  maxSnapshotAgeMs: 3_600_000,
  poisonTries: 3,
};

export type LanePhase = "restoring" | "live" | "stopping";

export interface LaneStatus {
  lane: number;
  /** Revision of the lease at its creation; written in every frame. */
  epoch: number;
  state: LanePhase;
  /** Input position of the last confirmed frame. */
  in: number;
  /** Input messages not yet folded. */
  lag: number;
  reg: number;
  /** Hot state. */
  bytes: number;
  keys: number;
  events: number;
  frames: number;
  /** Input position of the newest durable snapshot. */
  snapshotIn: number;
  /** How long there has been something that no snapshot holds; rises while PostgreSQL is down. */
  snapshotAgeMs: number;
  /** Items put in the dead letters since the start of this process. */
  deadLetters: number;
  /** Input sequences that were needed and no longer stored. */
  lostInputs: number;
}

/** The fold touched a key that `keysOf` did not name; it could be cold, so the result would not be deterministic. */
export class UndeclaredKey extends Error {
  override readonly name = "UndeclaredKey";
}
/** A snapshot was written by a newer version of this software. Never guessed at. */
export class NewerSnapshot extends Error {
  override readonly name = "NewerSnapshot";
}
/** A newer process runs under the same instance id. */
export class Replaced extends Error {
  override readonly name = "Replaced";
}
/** The input log ends before what was already folded: it was lost or restored from an older copy. Positions no longer mean what they meant. */
export class LogReplaced extends Error {
  override readonly name = "LogReplaced";
}
/** Somebody else writes this lane now. Expected during moves; the runner drops its state and leaves. */
export class OwnershipLost extends Error {
  override readonly name = "OwnershipLost";
}
