/**
 * The load generator process: posts events on its own HTTP connections, either by a timetable (open loop: latency counts from the due
 * time, so a slow server cannot slow the clock) or as fast as answers come back (closed loop: saturation).
 */
import { createEventMaker, eventsRequest, formatEventId } from "../../support/events.ts";
import { HttpConnection, NoAnswer } from "../../support/http-connection.ts";
import { nowUs } from "../../support/monotonic.ts";
import { serveRole } from "../../support/role.ts";
import { Latency } from "../support/latency.ts";
import type { Percentiles } from "../support/report.ts";

export interface LoadOptions {
  host: string;
  port: number;
  key: string;
  run: string;
  visitors: number;
  connections: number;
  eventsPerRequest: number;
  /** Events per second of the timetable; undefined = closed loop. */
  rate?: number;
  warmupSeconds: number;
  seconds: number;
}

export interface LoadResult {
  /** Whole run including warm-up: what must come out at the other end. */
  sent: number;
  accepted: number;
  /** Numbers of events that were not acknowledged (no answer or not 202): they may or may not have been stored. */
  unknown: number[];
  statuses: Record<string, number>;
  /** Measured part only. */
  measured: { requests: number; events: number; seconds: number; latency: Percentiles };
  /** ms the generator itself was late, p99; void above 5. */
  generatorLagP99: number;
}

async function run(options: LoadOptions): Promise<LoadResult> {
  const maker = createEventMaker(options.run, options.visitors);
  const latency = new Latency();
  const lag = new Latency();
  const statuses: Record<string, number> = {};
  const unknown: number[] = [];
  let sent = 0;
  let accepted = 0;
  let measuredRequests = 0;
  let lastAnswerUs = 0;
  const connections = Array.from(
    { length: options.connections },
    () => new HttpConnection({ host: options.host, port: options.port, timeoutMs: 10_000 }),
  );
  const t0 = nowUs();
  const measureFromUs = t0 + options.warmupSeconds * 1e6;
  const endUs = measureFromUs + options.seconds * 1e6;

  const post = async (connection: HttpConnection, dueUs: number): Promise<void> => {
    const first = sent;
    sent += options.eventsPerRequest;
    const events: string[] = [];
    const timestampMs = Date.now();
    // A page's SDK flushes the events of its own visitor: one visitor per request.
    const visitor = (first / options.eventsPerRequest) * 7919;
    for (let i = 0; i < options.eventsPerRequest; i++) {
      const n = first + i;
      events.push(maker.event(visitor, formatEventId(options.run, n, Math.round(dueUs)), timestampMs));
    }
    let status = "no answer";
    try {
      const answer = await connection.send(eventsRequest(options, events));
      status = String(answer.status);
      if (answer.status === 202 && !answer.body.includes(`"accepted":${options.eventsPerRequest}`)) status = "202 partial";
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
    }
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (status === "202") accepted += options.eventsPerRequest;
    else for (let i = 0; i < options.eventsPerRequest; i++) unknown.push(first + i);
    lastAnswerUs = nowUs();
    if (dueUs >= measureFromUs) {
      measuredRequests++;
      latency.recordUs(lastAnswerUs - dueUs);
    }
  };

  if (options.rate === undefined) await Promise.all(connections.map((connection) => closedLoop(connection, endUs, post)));
  else await openLoop(connections, { t0, endUs, requestsPerSecond: options.rate / options.eventsPerRequest, lag }, post);
  for (const connection of connections) connection.close();
  return {
    sent,
    accepted,
    unknown,
    statuses,
    measured: {
      requests: measuredRequests,
      events: measuredRequests * options.eventsPerRequest,
      seconds: (lastAnswerUs - measureFromUs) / 1e6,
      latency: latency.percentiles(),
    },
    generatorLagP99: lag.percentiles().p99,
  };
}

type Post = (connection: HttpConnection, dueUs: number) => Promise<void>;

async function closedLoop(connection: HttpConnection, endUs: number, post: Post): Promise<void> {
  for (let now = nowUs(); now < endUs; now = nowUs()) await post(connection, now);
}

function openLoop(
  connections: HttpConnection[],
  timetable: { t0: number; endUs: number; requestsPerSecond: number; lag: Latency },
  post: Post,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const free = [...connections];
    /** Due times that found every connection busy; they keep their due time. */
    const waiting: number[] = [];
    let head = 0;
    let next = 0;
    let active = 0;
    const dispatch = (): void => {
      while (head < waiting.length && free.length > 0) {
        const connection = free.pop();
        const due = waiting[head++];
        if (!connection || due === undefined) break;
        active++;
        post(connection, due).then(() => {
          active--;
          free.push(connection);
          dispatch();
        }, reject);
      }
      if (head > 10_000) {
        waiting.splice(0, head);
        head = 0;
      }
    };
    const tick = (): void => {
      const now = nowUs();
      for (;;) {
        const due = timetable.t0 + (next / timetable.requestsPerSecond) * 1e6;
        if (due > now || due >= timetable.endUs) break;
        timetable.lag.recordUs(now - due);
        waiting.push(due);
        next++;
      }
      dispatch();
      if (now >= timetable.endUs && active === 0 && head === waiting.length) return resolve();
      setTimeout(tick, 1);
    };
    tick();
  });
}

serveRole({ run });
