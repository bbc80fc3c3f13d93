/** The demo's two feeds: their upstream server, and how a user would describe them. Tests: upstream.int.test.ts, account.int.test.ts, test/e2e. */
import type { DemoFeed } from "./account.ts";
import { loadRecording, RECORDINGS, type RecordingName } from "./recordings.ts";
import { type DemoUpstream, startDemoUpstream } from "./upstream.ts";
import type { Logger } from "@headwater/runtime";

/** Topics that come several times a second, for examples. */
export const DEMO_TOPICS: Record<RecordingName, string> = { coinbase: "SKL-USD", kraken: "SC/EUR" };

const FEEDS: Record<RecordingName, Omit<DemoFeed, "recording" | "url">> = {
  coinbase: {
    name: "Coinbase (recorded)",
    description: "Order book changes, trades and tickers of ten pairs, a recording of 17 April 2021 in a loop. Topic: the pair.",
    topicField: "product_id",
    connectionMessages: ['{"type":"subscribe","product_ids":["SKL-USD","DASH-BTC","NMR-EUR"],"channels":["level2","ticker","matches"]}'],
  },
  kraken: {
    name: "Kraken (recorded)",
    description: "Order books, trades and tickers of ten pairs, a recording of 17 April 2021 in a loop. Topic: the pair.",
    topicField: "[-1]",
    connectionMessages: ['{"event":"subscribe","pair":["SC/EUR","XMR/USD","WAVES/EUR"],"subscription":{"name":"book"}}'],
  },
};

/** @param port of the last start, so that the feeds need no new address. */
export async function startDemoFeeds(log: Logger, port: number): Promise<{ upstream: DemoUpstream; feeds: DemoFeed[] }> {
  const recordings = Object.fromEntries(RECORDINGS.map((name) => [name, loadRecording(name)]));
  const upstream = await startDemoUpstream(recordings, log, port);
  return { upstream, feeds: RECORDINGS.map((recording) => ({ recording, url: upstream.urlOf(recording), ...FEEDS[recording] })) };
}
