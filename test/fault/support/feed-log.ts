/** What of a run is stored in `FEEDS_<lane>`, read back with the bare client and the operator's rights; ephemeral consumers only. */
import { DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { inputStreamName, LANE_COUNT } from "@headwater/protocol";
import { readMessageId } from "../../support/feed-plan.ts";
import type { Product } from "../../support/product.ts";
import type { LoggedMessage } from "./feed-checker.ts";

/** In stored order per lane. */
export async function readFeedLog(product: Product, run: string): Promise<LoggedMessage[]> {
  const { natsUrl, natsUsers } = product.run;
  const connection = await connect({ servers: natsUrl, user: natsUsers.admin.user, pass: natsUsers.admin.password });
  const found: LoggedMessage[] = [];
  const take = (data: Uint8Array): void => {
    for (let start = 0; start < data.length; ) {
      const newline = data.indexOf(10, start);
      const end = newline === -1 ? data.length : newline;
      const id = readMessageId(Buffer.from(data.buffer, data.byteOffset + start, end - start));
      if (id?.run === run) found.push({ id: `${id.run}.${id.n}.${id.feed}`, feed: id.feed, topic: id.topic, dueUs: id.dueUs });
      start = end + 1;
    }
  };
  try {
    const manager = await jetstreamManager(connection);
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const stream = inputStreamName("feeds", lane);
      const { state } = await manager.streams.info(stream);
      if (state.messages === 0) continue;
      const consumer = await jetstream(connection).consumers.get(stream, { deliver_policy: DeliverPolicy.All });
      const messages = await consumer.consume({ max_bytes: 4 * 1024 * 1024 });
      for await (const message of messages) {
        take(message.data);
        if (message.seq >= state.last_seq) break;
      }
      await messages.close();
    }
  } finally {
    await connection.close();
  }
  return found;
}
