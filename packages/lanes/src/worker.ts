/**
 * A worker process' share of a family: leases, one runner per owned lane, owner-addressed requests, status.
 * Tests: lanes.int.test.ts, ownership.int.test.ts.
 */
import {
  createMessagePace,
  createPublisher,
  lastMessage,
  type MessagePace,
  type Nats,
  notOwner,
  openLeaseBucket,
  type Publisher,
  type RegistryView,
  serveLaneRequests,
  streamState,
} from "@headwater/messaging";
import { decodeFrameHeader, inputStreamName, laneOf, subjects } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { Pool } from "pg";
import { createLeases, type LaneLease, type Leases } from "./leases.ts";
import { LaneRunner } from "./lane-runner.ts";
import { DEFAULT_OPTIONS, type LaneFamily, type LaneOptions, type LaneStatus, OwnershipLost, Replaced } from "./types.ts";

export interface LanesDeps<Config> {
  nats: Nats;
  /** Schema `lanes` must be migrated: see `LANES_MIGRATIONS`. */
  pool: Pool;
  registry: RegistryView;
  /** Config as of a registry position, a pure lookup in `registry`. */
  configAt: (reg: number) => Config;
  /** Stable per slot: a restarted process with the same id takes its lanes back at once. Never the same for two live processes. */
  instanceId: string;
  log: Logger;
  clock: Clock;
  leaseBucket: { replicas: number; maxBytes: number };
  options?: Partial<LaneOptions>;
  /** Going on would be wrong (a snapshot of a newer version, a newer process under our id): stop loudly. Default: throws outside of any promise. */
  onFatal?: (error: Error) => void;
}

export interface LaneRequestContext<State> {
  lane: number;
  /** State of a key, for reading only. */
  read<T>(key: string, read: (state: State | undefined) => T): Promise<T>;
  /** Resolves when the lane has folded and stored input message `in`: read your own write. */
  settledAt(position: { in: number }, withinMs?: number): Promise<void>;
}

export interface LaneWorker<State> {
  lanes(): LaneStatus[];
  /** Members of the family that are alive, as this worker sees them. */
  members(): string[];
  /** Reads from a lane owned here. @throws OwnershipLost otherwise */
  read<T>(key: string, read: (state: State | undefined) => T): Promise<T>;
  /** Answers `rpc.<input>.<lane>.<verb>` for every lane owned here; others get `not_owner`. Register before lanes are busy, once per verb. */
  handle(verb: string, handler: (context: LaneRequestContext<State>, payload: unknown) => unknown): void;
  /** Resolves when everything stored in the family's input now is folded and its outputs stored, by whoever owns the lanes. */
  settled(options?: { withinMs?: number }): Promise<void>;
  /** Canonical hash of a lane's whole state; waits for a quiet moment. */
  stateHash(lane: number): Promise<{ in: number; hash: string; keys: number }>;
  /** Input position per owned lane below which nothing is ever read again. */
  safePoints(): Map<number, number>;
  /** Finishes frames, writes snapshots, gives the lanes away. */
  stop(): Promise<void>;
}

export async function startLanes<Input, State, Config>(
  family: LaneFamily<Input, State, Config>,
  deps: LanesDeps<Config>,
): Promise<LaneWorker<State>> {
  const options: LaneOptions = { ...DEFAULT_OPTIONS, ...deps.options };
  await checkRetention(family, deps.nats, options);
  const bucket = await openLeaseBucket(deps.nats, { ...deps.leaseBucket, log: deps.log });
  const worker = new Worker(family, deps, options, createPublisher(deps.nats));
  const leases = createLeases({
    bucket,
    family: family.family,
    laneCount: options.laneCount,
    instanceId: deps.instanceId,
    ttlMs: options.leaseTtlMs,
    renewMs: options.renewMs,
    selfFenceMs: options.selfFenceMs,
    clock: deps.clock,
    log: deps.log,
    onAcquired: (lease) => worker.acquired(lease),
    onReleaseWanted: (lane) => worker.releaseWanted(lane),
    onLost: (lane) => worker.lost(lane),
    onReplaced: () => worker.replaced(),
  });
  worker.leases = leases;
  worker.closeBucket = () => bucket.close();
  await leases.start();
  return worker;
}

/** Input that is gone before the oldest snapshot is useless: refuse to start rather than guess. */
async function checkRetention(
  family: { input: LaneFamily<never, never, never>["input"] },
  nats: Nats,
  options: LaneOptions,
): Promise<void> {
  const stream = inputStreamName(family.input, 0);
  const { maxAgeMs } = await streamState(nats, stream);
  if (maxAgeMs > 0 && maxAgeMs < 3 * options.maxSnapshotAgeMs) {
    throw new Error(
      `${stream} keeps input for ${maxAgeMs} ms, snapshots may be ${options.maxSnapshotAgeMs} ms old: at least three times as long is needed`,
    );
  }
}

interface Slot<Input, State, Config> {
  runner: LaneRunner<Input, State, Config>;
  stopServing(): void;
}

class Worker<Input, State, Config> implements LaneWorker<State> {
  leases: Leases | undefined;
  closeBucket: () => void = () => undefined;
  readonly #family: LaneFamily<Input, State, Config>;
  readonly #deps: LanesDeps<Config>;
  readonly #options: LaneOptions;
  readonly #publisher: Publisher;
  readonly #pace: MessagePace;
  readonly #slots = new Map<number, Slot<Input, State, Config>>();
  /** Runners on their way out; a lane starts again only when its old runner has ended. */
  readonly #leaving = new Map<number, Promise<void>>();
  readonly #handlers = new Map<string, (context: LaneRequestContext<State>, payload: unknown) => unknown>();

  constructor(family: LaneFamily<Input, State, Config>, deps: LanesDeps<Config>, options: LaneOptions, publisher: Publisher) {
    this.#family = family;
    this.#deps = deps;
    this.#options = options;
    this.#publisher = publisher;
    this.#pace = createMessagePace({ perSecond: options.framesPerSecond, burst: options.laneCount });
  }

  // Called by the leases

  acquired(lease: LaneLease): void {
    const before = this.#leaving.get(lease.lane);
    if (before) void before.then(() => (lease.isHeld() ? this.#startRunner(lease) : undefined));
    else this.#startRunner(lease);
  }

  releaseWanted(lane: number): void {
    this.#slots.get(lane)?.runner.stop("graceful");
  }

  lost(lane: number): void {
    this.#slots.get(lane)?.runner.stop("now");
  }

  replaced(): void {
    this.#fatal(new Replaced(`a newer process runs as ${this.#deps.instanceId}`));
  }

  #startRunner(lease: LaneLease): void {
    const runner = new LaneRunner(this.#family, lease, {
      nats: this.#deps.nats,
      publisher: this.#publisher,
      pace: this.#pace,
      pool: this.#deps.pool,
      registry: this.#deps.registry,
      configAt: this.#deps.configAt,
      clock: this.#deps.clock,
      log: this.#deps.log,
      options: this.#options,
    });
    const slot: Slot<Input, State, Config> = { runner, stopServing: () => undefined };
    this.#slots.set(lease.lane, slot);
    this.#serve(lease.lane, slot);
    const ended = runner.run().then(async (result) => {
      slot.stopServing();
      if (this.#slots.get(lease.lane) === slot) this.#slots.delete(lease.lane);
      this.#leaving.delete(lease.lane);
      if (result.outcome === "fatal") this.#fatal(result.error);
      await this.leases?.release(lease.lane, lease.epoch);
    });
    this.#leaving.set(lease.lane, ended);
  }

  #fatal(error: Error): void {
    this.#deps.log.fatal({ err: error, family: this.#family.family }, "lanes.fatal");
    const onFatal = this.#deps.onFatal;
    if (onFatal) onFatal(error);
    else
      setImmediate(() => {
        throw error;
      });
  }

  #serve(lane: number, slot: Slot<Input, State, Config>): void {
    slot.stopServing();
    const { runner } = slot;
    const context: LaneRequestContext<State> = {
      lane,
      read: (key, read) => runner.read(key, read),
      settledAt: (position, withinMs = 2_000) => runner.settledAt(position.in, withinMs),
    };
    const handlers: Record<string, (payload: unknown) => unknown> = {};
    for (const [verb, handler] of this.#handlers) {
      handlers[verb] = async (payload) => {
        if (!runner.isLive) throw notOwner();
        try {
          return await handler(context, payload);
        } catch (error) {
          throw error instanceof OwnershipLost ? notOwner() : error;
        }
      };
    }
    const serving = serveLaneRequests(this.#deps.nats, this.#family.input, lane, handlers, this.#deps.log);
    slot.stopServing = () => serving.stop();
  }

  // Public

  lanes(): LaneStatus[] {
    return [...this.#slots.values()].map((slot) => slot.runner.status()).sort((a, b) => a.lane - b.lane);
  }

  members(): string[] {
    return this.leases?.members() ?? [];
  }

  async read<T>(key: string, read: (state: State | undefined) => T): Promise<T> {
    const slot = this.#slots.get(laneOf(key, this.#options.laneCount));
    if (!slot?.runner.isLive) throw new OwnershipLost("the lane is not owned here");
    return slot.runner.read(key, read);
  }

  handle(verb: string, handler: (context: LaneRequestContext<State>, payload: unknown) => unknown): void {
    if (this.#handlers.has(verb)) throw new Error(`verb ${verb} is handled already`);
    this.#handlers.set(verb, handler);
    for (const [lane, slot] of this.#slots) this.#serve(lane, slot);
  }

  async settled(options: { withinMs?: number } = {}): Promise<void> {
    const withinMs = options.withinMs ?? 10_000;
    const deadline = performance.now() + withinMs;
    const lanes = Array.from({ length: this.#options.laneCount }, (_, lane) => lane);
    await Promise.all(
      lanes.map(async (lane) => {
        const { lastSeq } = await streamState(this.#deps.nats, inputStreamName(this.#family.input, lane));
        while (!(await this.#isSettled(lane, lastSeq, deadline))) {
          if (performance.now() > deadline) throw new Error(`lane ${lane} did not reach input ${lastSeq} within ${withinMs} ms`);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }),
    );
  }

  async #isSettled(lane: number, seq: number, deadline: number): Promise<boolean> {
    if (seq === 0) return true;
    const slot = this.#slots.get(lane);
    if (slot?.runner.isLive) {
      try {
        await slot.runner.settledAt(seq, Math.max(1, deadline - performance.now()));
        return true;
      } catch (error) {
        if (!(error instanceof OwnershipLost)) throw error;
        return false;
      }
    }
    const frame = await lastMessage(this.#deps.nats, this.#family.outputStream, subjects.lane(this.#family.output, lane));
    const header = frame ? decodeFrameHeader(frame.data) : undefined;
    return header?.ok === true && (header.header.at === undefined ? header.header.in >= seq : header.header.in > seq);
  }

  async stateHash(lane: number): Promise<{ in: number; hash: string; keys: number }> {
    const deadline = performance.now() + 10_000;
    for (;;) {
      const runner = this.#slots.get(lane)?.runner;
      if (!runner) throw new OwnershipLost(`lane ${lane} is not owned here`);
      const state = await streamState(this.#deps.nats, inputStreamName(this.#family.input, lane));
      try {
        if (state.lastSeq > 0) await runner.settledAt(state.lastSeq, 5_000);
        return await runner.stateHash();
      } catch (error) {
        if (performance.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  safePoints(): Map<number, number> {
    return new Map([...this.#slots].map(([lane, slot]) => [lane, slot.runner.safePoint()]));
  }

  async stop(): Promise<void> {
    // Membership first, so that nothing new is taken; others wait for our leases to be freed lane by lane.
    await this.leases?.leave();
    for (const slot of this.#slots.values()) slot.runner.stop("graceful");
    await Promise.all(this.#leaving.values());
    await this.leases?.stop();
    this.closeBucket();
    this.#publisher.close();
  }
}
