/**
 * First process of the feeds reference: one WebSocket per upstream feed with the `ws` package, every message group-committed as it came. This
 * is the upstream side of ingest without guards, budgets, decoding, numbering and ownership.
 */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { WebSocket } from "ws";
import { serveRole } from "../../support/role.ts";
import { BENCH_LANES, createBenchStreams, createRawGroupCommit } from "../baselines/group-commit.ts";

let link: NatsConnection | undefined;

serveRole({
  /** Resolves when every feed is connected. */
  start: async ({ url, upstream, feeds }: { url: string; upstream: string; feeds: number }): Promise<void> => {
    link = await connect({ servers: url });
    await createBenchStreams(link);
    const commit = createRawGroupCommit(link, 256);
    const failed = (error?: Error): void => {
      if (!error) return;
      console.error(error);
      process.exit(1);
    };
    await Promise.all(
      Array.from(
        { length: feeds },
        (_, feed) =>
          new Promise<void>((resolve, reject) => {
            const ws = new WebSocket(`${upstream}/f/${feed}`, { perMessageDeflate: false });
            ws.on("open", () => resolve());
            ws.on("error", reject);
            ws.on("message", (data) => commit.append(feed % BENCH_LANES, String(data), failed));
          }),
      ),
    );
  },
});
