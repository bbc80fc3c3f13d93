/**
 * The sender of a fault run. Visitors belong to one connection each and a connection waits for its answer, so the accepted order of a
 * visitor's events is known. No answer or a 5xx leaves the outcome unknown: the same bytes with the same event ids are sent again until
 * somebody answers, exactly as the SDK contract says. Shares no code with the product.
 */
import { createEventMaker, eventsRequest, formatEventId } from "../../support/events.ts";
import { HttpConnection, NoAnswer } from "../../support/http-connection.ts";
import { nowUs } from "../../support/monotonic.ts";
import { serveRole } from "../../support/role.ts";
import { type AppendFile, openAppend } from "./ledger.ts";

export interface GeneratorOptions {
  host: string;
  port: number;
  key: string;
  run: string;
  visitors: number;
  connections: number;
  eventsPerRequest: number;
  /** Events per second over all connections. */
  rate: number;
  ledger: string;
}

export interface GeneratorState {
  sent: number;
  acked: number;
  refused: number;
  /** Requests that had to be repeated because nobody answered or the answer was 429 or 5xx. */
  repeats: number;
  statuses: Record<string, number>;
  /** µs of the newest acknowledgement. */
  lastAckUs: number;
  /** Event ids of the newest acknowledged request, for tests that want to find one. */
  lastAcked: string[];
}

const RETRY_MS = 50;
/** Kept for `resend`: every tenth acknowledged request, at most this many. */
const MOST_KEPT_REQUESTS = 2_000;

let stopping = false;
let running: Promise<void> | undefined;
let state: GeneratorState = empty();
let kept: { ids: string[]; request: string }[] = [];
let target: GeneratorOptions | undefined;

function empty(): GeneratorState {
  return { sent: 0, acked: 0, refused: 0, repeats: 0, statuses: {}, lastAckUs: 0, lastAcked: [] };
}

serveRole({
  start: (options: GeneratorOptions): void => {
    stopping = false;
    state = empty();
    kept = [];
    target = options;
    const ledger = openAppend(options.ledger);
    const maker = createEventMaker(options.run, options.visitors);
    running = Promise.all(Array.from({ length: options.connections }, (_, index) => sendFrom(index, options, maker, ledger))).then(() =>
      ledger.close(),
    );
  },
  state: (): GeneratorState => state,
  /** No new events; what is unknown is retried until it is answered. @returns the final state. */
  stop: async (): Promise<GeneratorState> => {
    stopping = true;
    await running;
    return state;
  },
  /** Sends acknowledged requests again, unchanged. @returns how many events that were. */
  resend: async (): Promise<number> => {
    if (!target) throw new Error("nothing was sent yet");
    const connection = new HttpConnection({ host: target.host, port: target.port, timeoutMs: 10_000 });
    let events = 0;
    for (const { ids, request } of kept) {
      await untilAnswered(connection, request);
      events += ids.length;
    }
    connection.close();
    return events;
  },
});

async function sendFrom(
  index: number,
  options: GeneratorOptions,
  maker: ReturnType<typeof createEventMaker>,
  ledger: AppendFile,
): Promise<void> {
  const connection = new HttpConnection({ host: options.host, port: options.port, timeoutMs: 5_000 });
  const requestEveryUs = (options.eventsPerRequest * options.connections * 1e6) / options.rate;
  const t0 = nowUs() + (index * requestEveryUs) / options.connections;
  const own = Math.floor(options.visitors / options.connections);
  let turn = 0;
  for (let request = 0; !stopping; request++) {
    // After an outage the timetable is resumed, not caught up: the fault is the load, not the backlog.
    const waitMs = (t0 + request * requestEveryUs - nowUs()) / 1e3;
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    else if (waitMs < -1_000) request = Math.floor((nowUs() - t0) / requestEveryUs);
    const events: string[] = [];
    const ids: string[] = [];
    const timestampMs = Date.now();
    for (let i = 0; i < options.eventsPerRequest; i++) {
      const visitor = index + options.connections * (turn++ % own);
      const id = formatEventId(options.run, state.sent++, visitor);
      ids.push(id);
      events.push(maker.event(visitor, id, timestampMs));
    }
    const sentUs = Math.round(nowUs());
    ledger.lines(ids.map((id) => `S ${id} ${sentUs}`));
    const bytes = eventsRequest(options, events);
    const status = await untilAnswered(connection, bytes);
    const ackUs = Math.round(nowUs());
    if (status === 202) {
      ledger.lines(ids.map((id) => `A ${id} ${ackUs}`));
      state.acked += ids.length;
      state.lastAckUs = ackUs;
      state.lastAcked = ids;
      if (request % 10 === 0 && kept.length < MOST_KEPT_REQUESTS) kept.push({ ids, request: bytes });
    } else {
      ledger.lines(ids.map((id) => `X ${id} ${status}`));
      state.refused += ids.length;
    }
  }
  connection.close();
}

/** @returns the first status that says what happened. */
async function untilAnswered(connection: HttpConnection, request: string): Promise<number> {
  for (;;) {
    let status = "no answer";
    try {
      const answer = await connection.send(request);
      status = String(answer.status);
      state.statuses[status] = (state.statuses[status] ?? 0) + 1;
      if (answer.status === 202 && !/"rejected":0\b/.test(answer.body)) return 422;
      if (answer.status < 500 && answer.status !== 429) return answer.status;
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      state.statuses[status] = (state.statuses[status] ?? 0) + 1;
    }
    state.repeats++;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
