/** Poison with its reason and origin, on `dlq.<service>`. The id is the origin, so a repeat after a crash is stored once. Tests: streams.int.test.ts. */
import { subjects } from "@headwater/protocol";
import type { Publisher } from "./publisher.ts";

export interface DeadLetter {
  reason: string;
  /** Where it came from; `index` = place inside the message. */
  origin: { stream: string; seq: number; index?: number };
  /** The poison itself as text; cut at 256 KiB. */
  data: string;
}

const MAX_DATA_CHARS = 256 * 1024;

/** Waits for the acknowledgement. @throws PublishError */
export async function publishDeadLetter(publisher: Publisher, service: string, letter: DeadLetter): Promise<void> {
  const { stream, seq, index } = letter.origin;
  const data = letter.data.length > MAX_DATA_CHARS ? letter.data.slice(0, MAX_DATA_CHARS) : letter.data;
  const body = {
    v: 1,
    at: new Date().toISOString(),
    reason: letter.reason.slice(0, 2_000),
    origin: letter.origin,
    truncated: data.length < letter.data.length,
    // Lone surrogates cannot travel as UTF-8.
    data: data.toWellFormed(),
  };
  await publisher.publish(subjects.deadLetters(service), JSON.stringify(body), { msgId: `dlq:${stream}:${seq}:${index ?? ""}` });
}
