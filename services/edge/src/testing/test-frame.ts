/** Frames of SIGNALS and TOPICS for tests, the way `scoring` and `routing` write them. Never imported by product code. */
import { encodeFrame, feedKeys, type FeedStatus, type FrameHeader, type LabelExt, topicWire } from "@headwater/protocol";
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
