/** The real log behind the hub: an output stream of JetStream. Identity of the log = the stream's creation time. Tests: resume.int.test.ts. */
import { getMessage, type Nats, openReader, streamState } from "@headwater/messaging";
import { fnv1a32 } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import type { LogReader, LogReadOptions, StoredExtent, StreamLog } from "../ports.ts";

/** A storm of resuming sockets asks once; the answer may be this old. */
const EXTENT_FRESH_MS = 250;
const READER_BYTES = 8 * 1024 * 1024;

export interface StreamLogOptions {
  nats: Nats;
  stream: string;
  monotonicMs: () => number;
  log: Logger;
}

export function createStreamLog(options: StreamLogOptions): StreamLog {
  const { nats, stream, log, monotonicMs } = options;
  let asked: { atMs: number; answer: Promise<StoredExtent> } | undefined;

  const ask = async (): Promise<StoredExtent> => {
    if (!nats.connected()) throw new Error("not connected to NATS");
    const { created, firstSeq, lastSeq, firstTimeMs } = await streamState(nats, stream);
    return { log: fnv1a32(`${stream} ${created}`), firstSeq: Math.max(1, firstSeq), lastSeq, firstTimeMs };
  };

  const read = (readOptions: LogReadOptions): LogReader =>
    openReader(nats, {
      stream,
      from: { seq: readOptions.from },
      onMessage: (msg) => readOptions.onMessage({ seq: msg.seq, timeMs: msg.timeMs, data: msg.data }),
      onGap: readOptions.onGap,
      onError: readOptions.onError,
      maxBytesInFlight: READER_BYTES,
      log,
    });

  return {
    stream,
    extent({ fresh = false } = {}) {
      const now = monotonicMs();
      if (!fresh && asked && now - asked.atMs < EXTENT_FRESH_MS) return asked.answer;
      const answer = ask();
      asked = { atMs: now, answer };
      answer.catch(() => {
        // A failed answer is nobody's to reuse; the callers have it as a rejection.
        if (asked?.answer === answer) asked = undefined;
      });
      return answer;
    },
    read,
    async firstAtTime(timeMs) {
      const { firstSeq, lastSeq } = await ask();
      const newest = lastSeq >= firstSeq ? await getMessage(nats, stream, lastSeq) : undefined;
      if (!newest || newest.timeMs < timeMs) return lastSeq + 1;
      const found = Promise.withResolvers<number>();
      const reader = openReader(nats, {
        stream,
        from: { timeMs },
        onMessage: (msg) => found.resolve(msg.seq),
        onError: found.reject,
        log,
      });
      // A message is there (checked above), so this ends; the connection going down makes the reader try again.
      void reader.caughtUp.then(() => found.resolve(lastSeq + 1));
      try {
        return await found.promise;
      } finally {
        await reader.stop();
      }
    },
    onReconnect: (listener) => nats.onStatus((event) => event === "reconnect" && listener()),
  };
}
