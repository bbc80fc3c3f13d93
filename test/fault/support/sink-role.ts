/**
 * The subscribers of a fault run: each follows the cursor rules and nothing else. After a lost connection it comes back with the cursor
 * of the last frame it has (or of `hello`), and everything it is sent is written down. Shares no code with the product.
 */
import { nowUs } from "../../support/monotonic.ts";
import { serveRole } from "../../support/role.ts";
import { connectWs, type WsClient } from "../../support/ws-client.ts";
import { type AppendFile, openAppend } from "./ledger.ts";

export interface SinkOptions {
  host: string;
  port: number;
  key: string;
  clients: number;
  /** Members of `include=` beside cursor and ids, with a leading comma, or nothing. */
  include: string;
  record: string;
}

export interface SinkState {
  /** Distinct events of each client. */
  seen: number[];
  /** Connections open right now, after `hello`. */
  open: number;
  reconnects: number;
  refused: Record<string, number>;
  closes: Record<string, number>;
  /** µs when the last client had its `hello` again. */
  allOpenUs: number;
  lastEventUs: number;
}

interface Client {
  id: number;
  cursor: string | undefined;
  seen: Set<string>;
  ws: WsClient | undefined;
  open: boolean;
  /** Highest event number seen. */
  newest: number;
  /** Connection attempts since the last `hello`. */
  failures: number;
  drip?: NodeJS.Timeout;
}

/** Full jitter below a doubling bound: what docs/signals.md asks of a client, with a lower cap so that outages are measured and not backoff. */
const BACKOFF_MS = 250;
const MOST_BACKOFF_MS = 1_000;
let clients: Client[] = [];
let record: AppendFile | undefined;
let options: SinkOptions | undefined;
let closing = false;
let state: Omit<SinkState, "seen" | "open"> = empty();

function empty(): Omit<SinkState, "seen" | "open"> {
  return { reconnects: 0, refused: {}, closes: {}, allOpenUs: 0, lastEventUs: 0 };
}

serveRole({
  /** Resolves when every client has its first `hello`. */
  start: async (given: SinkOptions): Promise<void> => {
    options = given;
    closing = false;
    state = empty();
    record = openAppend(given.record);
    clients = Array.from(
      { length: given.clients },
      (_, id): Client => ({ id, cursor: undefined, seen: new Set(), ws: undefined, open: false, newest: -1, failures: 0 }),
    );
    for (const client of clients) connect(client);
    await until(() => clients.every((client) => client.open), 90_000, "hello on every connection");
  },
  state: (): SinkState => ({
    ...state,
    seen: clients.map((client) => client.seen.size),
    open: clients.filter((client) => client.open).length,
  }),
  /** Waits until every client has seen `events` distinct events, or nothing came for `quietMs`. @returns whether they have. */
  caughtUp: async ({ events, quietMs }: { events: number; quietMs: number }): Promise<boolean> => {
    const from = nowUs();
    const done = (): boolean => clients.every((client) => client.seen.size >= events);
    await until(() => done() || nowUs() - Math.max(from, state.lastEventUs) > quietMs * 1000, 120_000, "the end of the backlog");
    return done();
  },
  /** Waits until every client has an event numbered `n` or later. */
  reached: async ({ n, withinMs }: { n: number; withinMs: number }): Promise<void> => {
    await until(() => clients.every((client) => client.newest >= n), withinMs, `event ${n} on every connection`);
  },
  /** A client stops reading from its socket, or reads one chunk every two seconds, until it is cut off. */
  slowDown: ({ client, manner }: { client: number; manner: "stopped" | "dripping" }): void => {
    const one = clients[client];
    one?.ws?.pause();
    if (one && manner === "dripping") one.drip = setInterval(() => one.ws?.readOnce(), 2_000);
  },
  /** Reads again like everybody else. */
  speedUp: ({ client }: { client: number }): void => {
    const one = clients[client];
    clearInterval(one?.drip);
    one?.ws?.resume();
  },
  stop: (): void => {
    closing = true;
    for (const client of clients) clearInterval(client.drip);
    for (const client of clients) client.ws?.terminate();
    record?.close();
    record = undefined;
  },
});

function connect(client: Client): void {
  if (!options || closing) return;
  const resume = client.cursor === undefined ? "" : `&cursor=${encodeURIComponent(client.cursor)}`;
  const again = (): void => {
    client.open = false;
    if (closing) return;
    state.reconnects++;
    const bound = Math.min(BACKOFF_MS * 2 ** client.failures++, MOST_BACKOFF_MS);
    setTimeout(() => connect(client), Math.random() * bound);
  };
  client.ws = connectWs(
    {
      host: options.host,
      port: options.port,
      path: `/v1/signals/stream?include=cursor,ids${options.include}${resume}`,
      headers: { "X-API-Key": options.key },
    },
    {
      onMessage: (payload) => onMessage(client, payload),
      onRefused: (status, body) => {
        const why = `${status} ${/"error":"(\w+)"/.exec(body)?.[1] ?? ""}`;
        state.refused[why] = (state.refused[why] ?? 0) + 1;
        again();
      },
      onClose: (code) => {
        state.closes[code] = (state.closes[code] ?? 0) + 1;
        record?.line(`C ${client.id} ${code} ${Math.round(nowUs())}`);
        again();
      },
    },
  );
}

function onMessage(client: Client, payload: Buffer): void {
  // Frames of the feed are JSON objects with a type; anything else must fail loudly.
  const frame = JSON.parse(payload.toString("utf8")) as { type: string; cursor?: string; eventId?: string; seq?: number; reason?: string };
  switch (frame.type) {
    case "event": {
      const now = nowUs();
      state.lastEventUs = now;
      client.seen.add(frame.eventId ?? "");
      client.newest = Math.max(client.newest, Number.parseInt(frame.eventId?.split(".")[1] ?? "", 36));
      record?.line(`E ${client.id} ${frame.eventId} ${frame.seq} ${Math.round(now)}`);
      client.cursor = frame.cursor;
      return;
    }
    case "hello":
      client.cursor ??= frame.cursor;
      client.open = true;
      client.failures = 0;
      if (clients.every((one) => one.open)) state.allOpenUs = nowUs();
      return;
    case "ping":
      client.ws?.send(JSON.stringify({ type: "pong", timestamp: Date.now() }));
      return;
    case "gap":
      record?.line(`G ${client.id} ${JSON.stringify(frame)}`);
      return;
    default:
      if (frame.cursor !== undefined && frame.type === "live") client.cursor = frame.cursor;
  }
}

/** Polls in this process only; the conditions are facts this process has already received. */
function until(holds: () => boolean, withinMs: number, what: string): Promise<void> {
  const deadline = nowUs() + withinMs * 1000;
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (holds()) return resolve();
      if (nowUs() > deadline) return reject(new Error(`waited ${withinMs} ms for ${what}: ${JSON.stringify(state)}`));
      setTimeout(look, 5);
    };
    look();
  });
}
