/**
 * What the frames of ANALYSES say about contexts: automatic answers, and that an owner had a context cleared. Answers to manual questions that
 * were passed on to listeners are in the log as well and are nobody's memory. Pure. Tests: analysis-frame.test.ts.
 */
import { AnalysisExt, type FrameHeader, frameLineRanges, parseFeedKey } from "@headwater/protocol";
import { z } from "zod";

/** Begins `AnalysisExt.run` of an answer to a manual question. */
export const MANUAL_RUN = "manual:";
/** Begins `AnalysisExt.run` of a note that a context was cleared up to `window[1]`. */
export const CLEAR_RUN = "clear:";

export type Analysis =
  | { kind: "answer"; feedId: string; topic: string | undefined; ts: number; answer: string }
  | { kind: "cleared"; feedId: string; topic: string | undefined; upToSeq: number };

/**
 * Routing key of a note that is for no socket: nobody can subscribe to it, because no feed id holds `#`.
 */
export const noteKey = (feedId: string): string => `${feedId}#`;

export function clearedWire(feedId: string, topic: string | undefined): string {
  return JSON.stringify({ type: "context-cleared", payload: { feedId, ...(topic === undefined ? {} : { topic }) } });
}

const Line = z.object({
  type: z.string(),
  payload: z.looseObject({
    feedId: z.string(),
    topic: z.string().optional(),
    analysis: z.string().optional(),
    answer: z.string().optional(),
  }),
});

const decoder = new TextDecoder();

/** In order. @throws RangeError, SyntaxError, ZodError for a damaged frame. */
export function analysesOf(header: FrameHeader, body: Uint8Array): Analysis[] {
  const ranges = frameLineRanges(body, header.n);
  const analyses: Analysis[] = [];
  for (let i = 0; i < header.n; i++) {
    const [from = 0, to = 0, extFrom = 0, extTo = 0] = ranges.subarray(i * 4, i * 4 + 4);
    const ext = AnalysisExt.parse(JSON.parse(decoder.decode(body.subarray(extFrom, extTo))));
    const { type, payload } = Line.parse(JSON.parse(decoder.decode(body.subarray(from, to))));
    const { feedId, topic } = payload;
    if (ext.run.startsWith(CLEAR_RUN)) analyses.push({ kind: "cleared", feedId, topic, upToSeq: ext.window[1] });
    if (ext.run.startsWith(CLEAR_RUN) || ext.run.startsWith(MANUAL_RUN)) continue;
    const key = parseFeedKey(header.keys[ext.k] ?? "");
    const answer = type === "llm-intelligence" ? payload.analysis : type === "llm-broadcast" ? payload.answer : undefined;
    if (answer === undefined) continue;
    analyses.push({ kind: "answer", feedId, topic: key.kind === "topic" ? key.topic : undefined, ts: ext.ts, answer });
  }
  return analyses;
}
