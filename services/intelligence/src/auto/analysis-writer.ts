/**
 * Frames on `analyses.<lane>`, written by the owner of the lane only: each carries the lease's epoch and the sequence of the frame before it, so
 * one that was replaced and does not know it yet is refused. What comes while a frame is on its way goes out together in the next one.
 * Tests: analysis-writer.int.test.ts.
 */
import { setTimeout } from "node:timers/promises";
import { createPublisher, lastMessage, type Nats, PublishError } from "@headwater/messaging";
import {
  AnalysisExt,
  decodeFrameHeader,
  encodeFrame,
  FRAME_VERSION,
  type FrameHeader,
  frameLineRanges,
  laneOf,
  MAX_FRAME_BYTES,
  subjects,
} from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import type { AnalysisOutput, AnalysisWriter, Ownership } from "../ports.ts";

/** The lane has, or may have, another owner: nothing was stored. */
export class NotOurLane extends Error {
  override readonly name = "NotOurLane";
}

/** What the lane's last frame says. */
interface Tail {
  epoch: number;
  seq: number;
  in: number;
  /** Newest `ext.ts`, 0 without one. */
  ts: number;
}

interface Waiting {
  outputs: readonly AnalysisOutput[];
  bytes: number;
  resolve(): void;
  reject(error: unknown): void;
}

interface Lane {
  /** Undefined until the lane's last frame was looked at under this epoch. */
  tail: Tail | undefined;
  epoch: number;
  opening: Promise<Tail> | undefined;
  waiting: Waiting[];
  isWriting: boolean;
}

export interface FrameSink extends AnalysisWriter {
  /** Time for an answer that is about to be written, ms: never before one the lane's listeners have already. @throws NotOurLane */
  stamp(feedId: string): Promise<number>;
  stop(): void;
}

export interface AnalysisWriterOptions {
  ownership: Pick<Ownership, "epochOf" | "giveUp">;
  clock: Clock;
  log: Logger;
  /** REGISTRY position that what is written now is based on. */
  registryPosition: () => number;
  laneCount: number;
  /** Until a frame is stored or given up, ms. */
  withinMs?: number;
}

const STREAM = "ANALYSES";
const GENERATION = "a1";
const WITHIN_MS = 10_000;
const RETRY_MS = 50;
const decoder = new TextDecoder();

export function createAnalysisWriter(nats: Nats, options: AnalysisWriterOptions): FrameSink {
  const { ownership, clock, log } = options;
  const publisher = createPublisher(nats);
  const lanes = new Map<number, Lane>();
  let isStopped = false;

  /** State of the feed's lane under the epoch it is owned in now. @throws NotOurLane */
  const current = (feedId: string): { lane: number; state: Lane } => {
    const epoch = ownership.epochOf(feedId);
    if (epoch === undefined || isStopped) throw new NotOurLane("the lane is not ours");
    const lane = laneOf(feedId, options.laneCount);
    let state = lanes.get(lane);
    if (state?.epoch !== epoch) {
      for (const waiting of state?.waiting ?? []) waiting.reject(new NotOurLane("the lane was taken again"));
      state = { tail: undefined, epoch, opening: undefined, waiting: [], isWriting: false };
      lanes.set(lane, state);
    }
    return { lane, state };
  };

  const readTail = async (lane: number): Promise<Tail> => {
    const message = await lastMessage(nats, STREAM, subjects.lane("analyses", lane));
    if (!message) return { epoch: 0, seq: 0, in: 0, ts: 0 };
    const frame = decodeFrameHeader(message.data);
    if (!frame.ok) throw new Error(`${message.subject} #${message.seq} is not a frame: ${frame.reason}`);
    return { epoch: frame.header.epoch, seq: message.seq, in: frame.header.in, ts: newestTs(frame.body, frame.header.n) };
  };

  const open = async (lane: number, state: Lane): Promise<Tail> => {
    if (state.tail) return state.tail;
    state.opening ??= readTail(lane).finally(() => (state.opening = undefined));
    const tail = await state.opening;
    if (tail.epoch > state.epoch) throw lose(lane, `a frame of epoch ${tail.epoch} is stored`);
    return (state.tail ??= tail);
  };

  const lose = (lane: number, reason: string): NotOurLane => {
    log.warn({ lane, reason }, "analyses.lane_lost");
    ownership.giveUp(lane);
    return new NotOurLane(reason);
  };

  const drain = async (lane: number, state: Lane): Promise<void> => {
    if (state.isWriting) return;
    state.isWriting = true;
    try {
      while (state.waiting.length > 0) {
        const batch = takeBatch(state.waiting);
        try {
          await store(lane, state, batch);
          for (const { resolve } of batch) resolve();
        } catch (error) {
          for (const { reject } of batch) reject(error);
        }
      }
    } finally {
      state.isWriting = false;
    }
  };

  const store = async (lane: number, state: Lane, batch: readonly Waiting[]): Promise<void> => {
    const deadline = clock.monotonicMs() + (options.withinMs ?? WITHIN_MS);
    const outputs = batch.flatMap((waiting) => [...waiting.outputs]);
    let mustLook = false;
    for (let attempt = 0; ; attempt++) {
      if (isStopped || lanes.get(lane) !== state) throw new NotOurLane("the lane is not ours any more");
      if (attempt > 0 && clock.monotonicMs() > deadline) throw new Error("the frame could not be stored in time");
      let tail: Tail;
      try {
        if (mustLook) {
          const stored = await readTail(lane);
          if (stored.epoch > state.epoch) throw lose(lane, `a frame of epoch ${stored.epoch} is stored`);
          const before = state.tail;
          state.tail = stored;
          // Nobody else writes under our epoch, and one frame is on its way at a time: this is ours, its answer got lost.
          if (stored.epoch === state.epoch && before !== undefined && stored.seq !== before.seq) return;
        }
        tail = await open(lane, state);
      } catch (error) {
        if (error instanceof NotOurLane) throw error;
        log.warn({ err: error, lane }, "analyses.lane_unreadable");
        mustLook = true;
        await setTimeout(RETRY_MS);
        continue;
      }
      const frame = frameOf(state.epoch, options.registryPosition(), tail, outputs);
      try {
        const ack = await publisher.publish(subjects.lane("analyses", lane), frame.text, {
          msgId: `${subjects.lane("analyses", lane)}/${state.epoch}/${tail.seq}`,
          expectStream: STREAM,
          expectLastSubjectSeq: tail.seq,
          timeoutMs: 2_000,
        });
        state.tail = { ...frame.tail, seq: ack.seq };
        return;
      } catch (error) {
        if (!(error instanceof PublishError)) throw error;
        if (!error.retryable && error.code !== "wrong_last_sequence") throw error;
        // Stored with its answer lost, refused because of a frame of another owner, or never sent: the stream knows.
        mustLook = true;
        if (error.code !== "wrong_last_sequence") await setTimeout(RETRY_MS);
      }
    }
  };

  return {
    async stamp(feedId) {
      const { lane, state } = current(feedId);
      const tail = await open(lane, state);
      return Math.max(clock.now(), tail.ts, state.tail?.ts ?? 0);
    },
    write(feedId, outputs) {
      return new Promise((resolve, reject) => {
        const { lane, state } = current(feedId);
        const bytes = outputs.reduce((sum, { wire, key }) => sum + Buffer.byteLength(wire) + key.length + 256, 0);
        state.waiting.push({ outputs, bytes, resolve, reject });
        void drain(lane, state);
      });
    },
    stop() {
      isStopped = true;
      for (const state of lanes.values()) for (const { reject } of state.waiting.splice(0)) reject(new NotOurLane("stopping"));
      publisher.close();
    },
  };
}

/** One at least. */
function takeBatch(waiting: Waiting[]): Waiting[] {
  let bytes = 0;
  let count = 0;
  for (const entry of waiting) {
    bytes += entry.bytes;
    if (count > 0 && bytes > MAX_FRAME_BYTES) break;
    count++;
  }
  return waiting.splice(0, count);
}

function frameOf(epoch: number, reg: number, tail: Tail, outputs: readonly AnalysisOutput[]): { text: string; tail: Tail } {
  const keys = new Map<string, number>();
  const next: Tail = { ...tail, epoch };
  const lines = outputs.map(({ key, wire, ext }) => {
    if (!keys.has(key)) keys.set(key, keys.size);
    next.in = Math.max(next.in, ext.window[1]);
    next.ts = Math.max(next.ts, ext.ts);
    return { wire, ext: JSON.stringify({ k: keys.get(key) ?? 0, ...ext } satisfies AnalysisExt) };
  });
  const header: FrameHeader = {
    v: FRAME_VERSION,
    family: "analyses",
    gen: GENERATION,
    epoch,
    in: next.in,
    reg,
    regs: [],
    n: lines.length,
    keys: [...keys.keys()],
  };
  return { text: encodeFrame(header, lines), tail: next };
}

function newestTs(body: Uint8Array, n: number): number {
  const ranges = frameLineRanges(body, n);
  let newest = 0;
  for (let i = 0; i < n; i++) {
    const ext = AnalysisExt.parse(JSON.parse(decoder.decode(body.subarray(ranges[i * 4 + 2], ranges[i * 4 + 3]))));
    newest = Math.max(newest, ext.ts);
  }
  return newest;
}
