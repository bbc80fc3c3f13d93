/**
 * Group commit with nothing around it: per lane one publish in flight, everything that queued meanwhile goes out as the next message.
 * The floor that packages/messaging is compared with. Touches the NATS connection it is given.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";

export const BENCH_LANES = 16;
export const benchLane = (lane: number): string => `bench.in.${lane}`;

export async function createBenchStreams(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection);
  for (let lane = 0; lane < BENCH_LANES; lane++)
    await manager.streams.add({ name: `BENCH_IN_${lane}`, subjects: [benchLane(lane)], max_bytes: 256 * 1024 * 1024 });
  await manager.streams.add({ name: "BENCH_OUT", subjects: ["bench.out.*"], max_bytes: 2 * 1024 * 1024 * 1024 });
}

export interface RawGroupCommit {
  /** `done` is called after the acknowledgement of the message that holds the line. */
  append(lane: number, line: string, done?: (error?: Error) => void): void;
  pending(): number;
  acked(): number;
  messages(): number;
  /** Resolves when nothing is queued or in flight. */
  idle(): Promise<void>;
}

interface LaneQueue {
  lines: string[];
  callbacks: ((error?: Error) => void)[];
  busy: boolean;
}

export function createRawGroupCommit(connection: NatsConnection, maxEvents: number): RawGroupCommit {
  const lanes = Array.from({ length: BENCH_LANES }, (): LaneQueue => ({ lines: [], callbacks: [], busy: false }));
  let pending = 0;
  let acked = 0;
  let messages = 0;
  let waiters: (() => void)[] = [];
  const nothing = (): void => undefined;

  const flush = async (lane: number, queue: LaneQueue): Promise<void> => {
    queue.busy = true;
    while (queue.lines.length > 0) {
      const lines = queue.lines.splice(0, maxEvents);
      const callbacks = queue.callbacks.splice(0, maxEvents);
      let failure: Error | undefined;
      try {
        const answer = await connection.request(benchLane(lane), lines.join("\n"), { timeout: 10_000 });
        if (answer.string().includes('"error"')) failure = new Error(answer.string());
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
      messages++;
      pending -= lines.length;
      if (failure) for (const done of callbacks) done(failure);
      else {
        acked += lines.length;
        for (const done of callbacks) done();
      }
    }
    queue.busy = false;
    if (pending === 0) {
      for (const wake of waiters) wake();
      waiters = [];
    }
  };

  return {
    append(lane, line, done) {
      const queue = lanes[lane];
      if (!queue) throw new RangeError(`no lane ${lane}`);
      queue.lines.push(line);
      queue.callbacks.push(done ?? nothing);
      pending++;
      if (!queue.busy) {
        queue.busy = true;
        // Events of the same tick travel together.
        setImmediate(() => void flush(lane, queue));
      }
    },
    pending: () => pending,
    acked: () => acked,
    messages: () => messages,
    idle: () => (pending === 0 ? Promise.resolve() : new Promise((resolve) => waiters.push(resolve))),
  };
}

/** Windowed `js.publish`, the client's own path with one promise per message. */
export async function publishWindowed(connection: NatsConnection, payload: string, window: number, seconds: number): Promise<number> {
  const client = jetstream(connection);
  const end = performance.now() + seconds * 1000;
  let acked = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < end) {
      await client.publish(benchLane(0), payload);
      acked++;
    }
  };
  await Promise.all(Array.from({ length: window }, worker));
  return acked;
}
