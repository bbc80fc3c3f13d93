/**
 * Second process of the reference pipeline: one ordered consumer per lane; what has arrived goes out unchanged as one frame, with one
 * frame in flight per lane. This is the scoring worker without scoring, fencing and snapshots.
 */
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { serveRole } from "../../support/role.ts";
import { BENCH_LANES } from "../baselines/group-commit.ts";

const MAX_FRAME_CHARS = 256 * 1024;

serveRole({
  start: async ({ url }: { url: string }): Promise<void> => {
    const connection = await connect({ servers: url });
    const client = jetstream(connection);
    const decoder = new TextDecoder("latin1");
    const startLane = async (lane: number): Promise<void> => {
      const waiting: string[] = [];
      let position = 0;
      let busy = false;
      const pump = async (): Promise<void> => {
        busy = true;
        while (waiting.length > 0) {
          let size = 0;
          let take = 0;
          while (take < waiting.length && size < MAX_FRAME_CHARS) size += waiting[take++]?.length ?? 0;
          const chunk = waiting.splice(0, take);
          const answer = await connection.request(`bench.out.${lane}`, `{"in":${position}}\n${chunk.join("\n")}`, { timeout: 10_000 });
          if (answer.string().includes('"error"')) throw new Error(answer.string());
        }
        busy = false;
      };
      const consumer = await client.consumers.get(`BENCH_IN_${lane}`, { deliver_policy: DeliverPolicy.New });
      await consumer.consume({
        max_messages: 1_000,
        callback: (msg) => {
          position = msg.seq;
          waiting.push(decoder.decode(msg.data));
          if (!busy) {
            busy = true;
            setImmediate(() => void pump());
          }
        },
      });
    };
    await Promise.all(Array.from({ length: BENCH_LANES }, (_, lane) => startLane(lane)));
    waitingForever();
  },
});

/** A failed publish must not look like a slow one. */
function waitingForever(): void {
  process.on("unhandledRejection", (error) => {
    console.error(error);
    process.exit(1);
  });
}
