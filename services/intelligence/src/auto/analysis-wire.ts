/** Wire lines of automatic analyses, and who gets them. Pure. Tests: auto-small.test.ts. */
import { feedKeys } from "@headwater/protocol";
import type { TopicRef } from "../domain/schedule.ts";

/** Listeners of the topic; of a plain feed those who asked for its intelligence. */
export function analysisKey({ feedId, topic }: TopicRef): string {
  return topic === undefined ? feedKeys.llm(feedId) : feedKeys.topic(feedId, topic);
}

/** @param ts ms. */
export function answerWire({ feedId, topic }: TopicRef, answer: string, provider: string, ts: number): string {
  const timestamp = new Date(ts).toISOString();
  return topic === undefined
    ? JSON.stringify({ type: "llm-broadcast", payload: { feedId, answer, provider, timestamp } })
    : JSON.stringify({ type: "llm-intelligence", payload: { feedId, topic, analysis: answer, provider, timestamp } });
}

export function errorWire({ feedId, topic }: TopicRef, error: string): string {
  return JSON.stringify({ type: "llm-error", payload: { error, feedId, topic } });
}
