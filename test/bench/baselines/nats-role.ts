/**
 * The processes of baselines B1–B4: a publisher and a reader, each on its own connection. Run by nats-baselines.ts.
 */
import { AckPolicy, DeliverPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { serveRole } from "../../support/role.ts";
import { BENCH_LANES, benchLane, createBenchStreams, createRawGroupCommit, publishWindowed } from "./group-commit.ts";

export interface Rate {
  count: number;
  seconds: number;
  messages?: number;
}

let link: NatsConnection | undefined;
function connection(): NatsConnection {
  if (!link) throw new Error("not connected");
  return link;
}
const payload = "x".repeat(256);

serveRole({
  connect: async (url: string) => {
    link = await connect({ servers: url });
  },
  createStreams: () => createBenchStreams(connection()),
  purge: async () => {
    const manager = await jetstreamManager(connection());
    for (let lane = 0; lane < BENCH_LANES; lane++) await manager.streams.purge(`BENCH_IN_${lane}`);
  },

  /** B1, sending half. Ends with a marker message. */
  publishCore: async ({ seconds }: { seconds: number }): Promise<Rate> => {
    const nc = connection();
    const started = performance.now();
    const end = started + seconds * 1000;
    let count = 0;
    while (performance.now() < end) {
      for (let i = 0; i < 1000; i++) nc.publish("bench.core", payload);
      count += 1000;
      // Bounds the client's own buffer; the server's buffer to the reader is bounded by its 64 MiB.
      await nc.flush();
    }
    nc.publish("bench.core", "end");
    await nc.flush();
    return { count, seconds: (performance.now() - started) / 1000 };
  },
  /** B1, receiving half: counts until the marker. */
  subscribeCore: (): Promise<Rate> =>
    new Promise((resolve) => {
      let count = 0;
      let started = 0;
      const sub = connection().subscribe("bench.core", {
        callback: (_error, msg) => {
          if (started === 0) started = performance.now();
          if (msg.data.length === 3) {
            sub.unsubscribe();
            resolve({ count, seconds: (performance.now() - started) / 1000 });
          } else count++;
        },
      });
    }),

  publishWindowed: async ({ seconds, window }: { seconds: number; window: number }): Promise<Rate> => {
    const started = performance.now();
    const count = await publishWindowed(connection(), payload, window, seconds);
    return { count, seconds: (performance.now() - started) / 1000 };
  },

  groupCommit: async ({ seconds, maxEvents }: { seconds: number; maxEvents: number }): Promise<Rate> => {
    const commit = createRawGroupCommit(connection(), maxEvents);
    const started = performance.now();
    const end = started + seconds * 1000;
    // Closed loop: every lane is kept one full message ahead.
    await Promise.all(
      Array.from(
        { length: BENCH_LANES },
        (_, lane) =>
          new Promise<void>((resolve, reject) => {
            const round = (error?: Error): void => {
              if (error) return reject(error);
              if (performance.now() >= end) return resolve();
              for (let i = 1; i < maxEvents; i++) commit.append(lane, payload);
              commit.append(lane, payload, round);
            };
            round();
          }),
      ),
    );
    await commit.idle();
    return { count: commit.acked(), messages: commit.messages(), seconds: (performance.now() - started) / 1000 };
  },

  /** B4: reads `count` messages of lane 0 from the start. */
  consume: async ({ mode, count }: { mode: "ordered" | "explicit"; count: number }): Promise<Rate> => {
    const nc = connection();
    const manager = await jetstreamManager(nc);
    const client = jetstream(nc);
    const stream = "BENCH_IN_0";
    if (mode === "explicit")
      await manager.consumers.add(stream, {
        durable_name: "bench",
        ack_policy: AckPolicy.Explicit,
        max_ack_pending: 4_000,
        deliver_policy: DeliverPolicy.All,
      });
    const consumer =
      mode === "ordered"
        ? await client.consumers.get(stream, { deliver_policy: DeliverPolicy.All })
        : await client.consumers.get(stream, "bench");
    const started = performance.now();
    await new Promise<void>((resolve, reject) => {
      let seen = 0;
      consumer
        .consume({
          max_messages: 2_000,
          callback: (msg) => {
            if (mode === "explicit") msg.ack();
            if (++seen === count) resolve();
          },
        })
        .catch(reject);
    });
    const seconds = (performance.now() - started) / 1000;
    if (mode === "explicit") await manager.consumers.delete(stream, "bench");
    return { count, seconds };
  },
  /** Puts `count` single messages into lane 0, for B4. */
  fill: async ({ count }: { count: number }): Promise<void> => {
    const client = jetstream(connection());
    for (let sent = 0; sent < count; ) {
      const batch = Math.min(500, count - sent);
      await Promise.all(Array.from({ length: batch }, () => client.publish(benchLane(0), payload)));
      sent += batch;
    }
  },
});
