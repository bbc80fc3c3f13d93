/**
 * Contexts and automatic memory of newly acquired lanes, out of the retained log: first what ANALYSES says (answers, and what an owner had
 * cleared), then the messages of TOPICS, until nothing is left that the live reader has passed. Tests: lane-contexts.int.test.ts.
 */
import { type Nats, openReader, type ReadMessage } from "@headwater/messaging";
import { decodeFrameHeader, type LanedFamily, streamSpecs, subjects } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import { analysesOf } from "../domain/analysis-frame.ts";
import type { ContextStore } from "../domain/context-store.ts";
import type { Memory } from "../domain/memory.ts";
import { automaticQuestion } from "../domain/prompt.ts";
import type { Feeds } from "../ports.ts";

export interface RebuildLane {
  readonly lane: number;
  /** Newest message of TOPICS in the context. */
  lastSeq: number;
  /** Newest message of TOPICS that the live reader has passed by while the lane was rebuilt. */
  skippedSeq: number;
  isHeld(): boolean;
}

export interface RebuildDeps {
  nats: Nats;
  feeds: Feeds;
  clock: Clock;
  log: Logger;
  memory: Memory;
  store: ContextStore;
  isStopped(): boolean;
  /** Still ours, and not given away and taken again. */
  isCurrent(lane: RebuildLane): boolean;
  apply(lane: RebuildLane, message: ReadMessage): void;
}

interface Cleared {
  feedId: string;
  topic: string | undefined;
  upToSeq: number;
}

/** What is older than the oldest message that can be in TOPICS is about nothing that a context holds. The same in every profile. */
const HORIZON_MS = streamSpecs("laptop").find(({ name }) => name === "TOPICS")?.maxAgeMs ?? 0;

/** @returns number of frames read. Lanes that were lost meanwhile are left as they are. */
export async function rebuildLanes(lanes: readonly RebuildLane[], deps: RebuildDeps): Promise<number> {
  const cleared: Cleared[] = [];
  const analyses = await readLanes(
    "ANALYSES",
    "analyses",
    lanes,
    { timeMs: deps.clock.now() - HORIZON_MS },
    deps,
    (message) => {
      for (const analysis of framesOf(message, deps.log)) {
        const { feedId, topic } = analysis;
        if (analysis.kind === "cleared") {
          deps.memory.clear(feedId, topic);
          cleared.push({ feedId, topic, upToSeq: analysis.upToSeq });
          continue;
        }
        const feed = deps.feeds.get(feedId);
        if (feed)
          deps.memory.remember({ feedId, topic }, { at: analysis.ts, question: automaticQuestion(feed, topic), answer: analysis.answer });
      }
    },
    () => true,
  );
  const topics = await readLanes(
    "TOPICS",
    "topics",
    lanes,
    "all",
    deps,
    (message, lane) => deps.apply(lane, message),
    (lane) => lane.lastSeq >= lane.skippedSeq,
  );
  for (const { feedId, topic, upToSeq } of cleared) deps.store.clear(feedId, topic, upToSeq);
  // Messages of feeds that were deleted are still in the log.
  deps.store.dropWhere((feedId) => deps.feeds.get(feedId) === undefined);
  return analyses + topics;
}

function framesOf(message: ReadMessage, log: Logger): ReturnType<typeof analysesOf> {
  const frame = decodeFrameHeader(message.data);
  try {
    if (!frame.ok) throw new SyntaxError(frame.reason);
    return analysesOf(frame.header, frame.body);
  } catch (error) {
    log.error({ err: error, seq: message.seq }, "contexts.analysis_skipped");
    return [];
  }
}

/** Reads until everything that was there is handled and every lane says that it is enough. */
async function readLanes(
  stream: string,
  family: LanedFamily,
  lanes: readonly RebuildLane[],
  from: "all" | { timeMs: number },
  deps: RebuildDeps,
  onMessage: (message: ReadMessage, lane: RebuildLane) => void,
  isEnough: (lane: RebuildLane) => boolean,
): Promise<number> {
  const bySubject = new Map(lanes.map((lane) => [subjects.lane(family, lane.lane), lane]));
  const [onlySubject] = lanes.length === 1 ? bySubject.keys() : [];
  const enough = Promise.withResolvers<void>();
  let isCaughtUp = false;
  let frames = 0;
  const check = (): void => {
    const open = lanes.filter((lane) => lane.isHeld() && deps.isCurrent(lane));
    if (deps.isStopped() || open.length === 0 || (isCaughtUp && open.every(isEnough))) enough.resolve();
  };
  const reader = openReader(deps.nats, {
    stream,
    ...(onlySubject === undefined ? {} : { subject: onlySubject }),
    from,
    log: deps.log,
    onMessage: (message) => {
      const lane = bySubject.get(message.subject);
      if (lane !== undefined && deps.isCurrent(lane)) {
        onMessage(message, lane);
        frames++;
      }
      if (isCaughtUp || deps.isStopped()) check();
    },
    onError: (error) => enough.reject(error),
  });
  // A lane that is lost, or a stop, is noticed though no message comes.
  const watch = setInterval(check, WATCH_MS);
  try {
    void reader.caughtUp.then(() => {
      isCaughtUp = true;
      check();
    });
    await enough.promise;
  } finally {
    clearInterval(watch);
    await reader.stop();
  }
  return frames;
}

const WATCH_MS = 200;
