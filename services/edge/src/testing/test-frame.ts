/** Frames of SIGNALS, TOPICS and ANALYSES for tests, the way `scoring`, `routing` and `intelligence` write them. Never imported by product code. */
import { type AnalysisExt, encodeFrame, feedKeys, type FeedStatus, type FrameHeader, type LabelExt, topicWire } from "@headwater/protocol";
import { label } from "./labels.ts";

export interface TestOutput {
  tenant: string;
  ext?: Partial<LabelExt>;
}

export function testFrame(outputs: readonly TestOutput[], inSeq: number): string {
  const keys = [...new Set(outputs.map((output) => output.tenant))];
  const header: FrameHeader = { v: 1, family: "signals", gen: "g1", epoch: 1, in: inSeq, reg: 1, regs: [], n: outputs.length, keys };
  return encodeFrame(
    header,
    outputs.map((output) => {
      const { wire, ext } = label({ ...output.ext, k: keys.indexOf(output.tenant) });
      return { wire, ext: JSON.stringify(ext) };
    }),
  );
}

/** `data` is JSON source text. */
export type TopicOutput = { feedId: string; ts?: number } & ({ data: string; topic?: string } | { status: FeedStatus; error?: string });

export function topicFrame(outputs: readonly TopicOutput[], inSeq: number): string {
  const keyOf = (output: TopicOutput): string => {
    if ("status" in output) return feedKeys.control(output.feedId);
    return output.topic === undefined ? feedKeys.data(output.feedId) : feedKeys.topic(output.feedId, output.topic);
  };
  const wireOf = (output: TopicOutput, ts: number): string => {
    const { feedId } = output;
    if ("status" in output) return topicWire.feedStatus({ feedId, status: output.status, error: output.error });
    if (output.topic !== undefined) return topicWire.topicData({ feedId, topic: output.topic, data: output.data, ts });
    return topicWire.feedData({ feedId, feedName: `feed ${feedId}`, eventName: "", data: output.data, ts });
  };
  const keys = [...new Set(outputs.map(keyOf))];
  const header: FrameHeader = { v: 1, family: "topics", gen: "g1", epoch: 1, in: inSeq, reg: 1, regs: [], n: outputs.length, keys };
  return encodeFrame(
    header,
    outputs.map((output, line) => {
      const ts = output.ts ?? Date.now();
      return { wire: wireOf(output, ts), ext: JSON.stringify({ k: keys.indexOf(keyOf(output)), ts, p: [inSeq, line] }) };
    }),
  );
}

/** An answer about a topic, about a feed as a whole, or the failure of either. */
export type AnalysisOutput = { feedId: string; topic?: string; ts?: number } & ({ text: string } | { error: string });

export function analysisFrame(outputs: readonly AnalysisOutput[], inSeq: number): string {
  const keyOf = ({ feedId, topic }: AnalysisOutput): string => (topic === undefined ? feedKeys.llm(feedId) : feedKeys.topic(feedId, topic));
  const wireOf = (output: AnalysisOutput, ts: number): object => {
    const { feedId, topic } = output;
    if ("error" in output) return { type: "llm-error", payload: { error: output.error, feedId, topic } };
    const rest = { provider: "openai", timestamp: new Date(ts).toISOString() };
    if (topic === undefined) return { type: "llm-broadcast", payload: { feedId, answer: output.text, ...rest } };
    return { type: "llm-intelligence", payload: { feedId, topic, analysis: output.text, ...rest } };
  };
  const keys = [...new Set(outputs.map(keyOf))];
  const header: FrameHeader = { v: 1, family: "analyses", gen: "g1", epoch: 1, in: inSeq, reg: 1, regs: [], n: outputs.length, keys };
  return encodeFrame(
    header,
    outputs.map((output) => {
      const ts = output.ts ?? Date.now();
      const k = keys.indexOf(keyOf(output));
      const ext: AnalysisExt = { k, ts, run: `run${inSeq}`, model: "gpt", promptVersion: 1, tokens: 5, window: [1, 2] };
      return { wire: JSON.stringify(wireOf(output, ts)), ext: JSON.stringify(ext) };
    }),
  );
}
