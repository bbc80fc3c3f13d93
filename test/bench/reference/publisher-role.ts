/**
 * First process of the reference pipeline: takes the same HTTP posts as the collector, or makes the events itself by a timetable, and
 * group-commits them. It looks at nothing: an event is opaque text. With HTTP it cuts the batch by our own generator's fixed layout.
 */
import http from "node:http";
import type { AddressInfo } from "node:net";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { createEventMaker, formatEventId } from "../../support/events.ts";
import { nowUs } from "../../support/monotonic.ts";
import { serveRole } from "../../support/role.ts";
import { BENCH_LANES, createBenchStreams, createRawGroupCommit, type RawGroupCommit } from "../baselines/group-commit.ts";

let link: NatsConnection | undefined;
let commit: RawGroupCommit | undefined;

function ready(): RawGroupCommit {
  if (!commit) throw new Error("not connected");
  return commit;
}

export interface TimetableOptions {
  run: string;
  visitors: number;
  /** Events per second; undefined = as fast as acknowledgements come, with `window` events outstanding. */
  rate?: number;
  window: number;
  seconds: number;
}

serveRole({
  connect: async ({ url, maxEvents }: { url: string; maxEvents: number }): Promise<void> => {
    link = await connect({ servers: url });
    await createBenchStreams(link);
    commit = createRawGroupCommit(link, maxEvents);
  },

  /** Makes events by itself. @returns how many were acknowledged. */
  timetable: async (options: TimetableOptions): Promise<{ sent: number; seconds: number }> => {
    const queue = ready();
    const maker = createEventMaker(options.run, options.visitors);
    const t0 = nowUs();
    const endUs = t0 + options.seconds * 1e6;
    let sent = 0;
    let failure: Error | undefined;
    const put = (dueUs: number): void => {
      const n = sent++;
      const visitor = n * 7919;
      queue.append(
        (visitor % options.visitors) % BENCH_LANES,
        maker.event(visitor, formatEventId(options.run, n, Math.round(dueUs)), 0),
        (error) => {
          if (error) failure = error;
        },
      );
    };
    for (let now = nowUs(); now < endUs; now = nowUs()) {
      if (options.rate === undefined) while (queue.pending() < options.window) put(now);
      else
        for (let due = t0; ; ) {
          due = t0 + (sent / options.rate) * 1e6;
          if (due > now) break;
          put(due);
        }
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (failure) throw failure;
    }
    await queue.idle();
    return { sent, seconds: (nowUs() - t0) / 1e6 };
  },

  /** @returns the port of an HTTP server that answers 202 after the events of a post are acknowledged. */
  listen: (): Promise<number> =>
    new Promise((resolve) => {
      const queue = ready();
      let lane = 0;
      const server = http.createServer((request, response) => {
        const parts: Buffer[] = [];
        request.on("data", (part: Buffer) => parts.push(part));
        request.on("end", () => {
          const text = Buffer.concat(parts).toString("latin1");
          // `{"events":[{…},{…}]}`: our generator ends every event with its id.
          const events = text
            .slice(11, -2)
            .split('"},{')
            .map((event, i) => (i === 0 ? event : `{${event}`));
          let left = events.length;
          let failed = false;
          const done = (error?: Error): void => {
            if (error) failed = true;
            if (--left > 0) return;
            response.statusCode = failed ? 503 : 202;
            const body = `{"accepted":${events.length}}`;
            response.setHeader("Content-Length", body.length);
            response.end(body);
          };
          // A request holds the events of one visitor, so they share a lane.
          lane = (lane + 1) % BENCH_LANES;
          for (const [i, event] of events.entries()) {
            queue.append(lane, i === events.length - 1 ? event : `${event}"}`, done);
          }
        });
      });
      server.keepAliveTimeout = 60_000;
      // A TCP listener's address is an object; only pipes have a string.
      server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
    }),
});
