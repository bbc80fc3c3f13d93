/**
 * Tries an upstream that is not (yet) stored: connects as the product would, waits for the first message, forgets it again. Bounded in time,
 * number and size of what it shows. Tests: upstream-rpc.int.test.ts.
 */
import type { TestFeedAnswer, TestFeedRequest } from "@headwater/protocol";
import type { Clock } from "@headwater/runtime";
import type { ConnectionSpec, Connector } from "../adapters/upstreams/connector.ts";
import { createFrameDecoder, type FrameDecoder } from "../adapters/upstreams/frame-decoder.ts";

export interface FeedTesterOptions {
  connectorOf(spec: ConnectionSpec): Connector;
  clock: Clock;
  /** Tests at the same time; more are refused. */
  maxConcurrent: number;
  /** For connecting and the first message together. */
  timeoutMs: number;
}

/** A larger first message counts as one, and is not shown. */
export const MAX_SAMPLE_BYTES = 64 * 1024;

export interface FeedTester {
  test(request: TestFeedRequest): Promise<TestFeedAnswer>;
}

export function createFeedTester(options: FeedTesterOptions): FeedTester {
  let running = 0;
  return {
    async test(request) {
      if (running >= options.maxConcurrent) return { ok: false, message: "too many tests are running, try again" };
      running++;
      try {
        return await tryOnce(request, options);
      } finally {
        running--;
      }
    },
  };
}

function tryOnce(request: TestFeedRequest, options: FeedTesterOptions): Promise<TestFeedAnswer> {
  const spec: ConnectionSpec = { ...request, connectionMessageDelayMs: 0, pingIntervalMs: 30_000, readTimeoutMs: 60_000 };
  let decoder: FrameDecoder;
  try {
    decoder = createFrameDecoder(spec);
  } catch (error) {
    return Promise.resolve({ ok: false, message: error instanceof Error ? error.message : "the feed cannot be connected" });
  }
  const begin = options.clock.monotonicMs();
  return new Promise((resolve) => {
    let isOpen = false;
    const finish = (answer: TestFeedAnswer): void => {
      clearTimeout(timer);
      void connection.close();
      resolve(answer);
    };
    const timer = setTimeout(() => finish(isOpen ? { ok: true } : { ok: false, message: "no answer in time" }), options.timeoutMs);
    const connection = options.connectorOf(spec).open({
      onOpen: () => {
        isOpen = true;
      },
      onFrame: (data, isBinary) => {
        const [first] = decoder.decode(data, isBinary).messages;
        if (!first) return;
        const sample = first.kind === "json" ? first.text : JSON.stringify(first.text);
        const shown = Buffer.byteLength(sample) <= MAX_SAMPLE_BYTES ? { sample } : {};
        finish({ ok: true, ...shown, latencyMs: Math.round(options.clock.monotonicMs() - begin) });
      },
      onDropped: () => undefined,
      onNoise: () => undefined,
      onEnd: (message) => finish({ ok: false, message }),
    });
  });
}
