/**
 * The sink process: WebSocket subscribers on raw sockets. The first `parsed` of them read the event id of every message (loss, duplicates,
 * latency from the due time inside the id); the others only count messages, so that the sink stays cheaper than what it measures.
 */
import { createFrameCounter, type FrameCounter } from "../../support/frame-counter.ts";
import { nowUs } from "../../support/monotonic.ts";
import { serveRole } from "../../support/role.ts";
import { connectWs, type WsClient } from "../../support/ws-client.ts";
import { Latency } from "../support/latency.ts";
import type { Percentiles } from "../support/report.ts";

export interface SinkOptions {
  host: string;
  port: number;
  /** Path and query of the counting sockets, and of the ones that read ids. */
  path: string;
  parsedPath: string;
  headers?: Record<string, string>;
  sockets: number;
  parsed: number;
  /** JSON member that holds the id, e.g. `eventId`. */
  idMember: string;
  /** Large messages at the start of every connection that are no events (`hello`). */
  greetings: number;
}

export interface SinkResult {
  /** Distinct events seen by each parsing socket, and repeats. */
  seen: number[];
  duplicates: number;
  /** Events per counting socket: least and most. */
  countedMin: number;
  countedMax: number;
  /** All messages of all sockets. */
  deliveries: number;
  latency: Percentiles;
  closed: string[];
}

interface Parsed {
  bits: Uint8Array;
  seen: number;
}

let clients: WsClient[] = [];
let counters: FrameCounter[] = [];
let parsed: Parsed[] = [];
/** Messages each counter had seen before the run. */
let base: number[] = [];
let latency = new Latency();
let duplicates = 0;
let greetings = 0;
let run = "";
let measureFromUs = 0;
let closed: string[] = [];
let keepAlive: NodeJS.Timeout | undefined;

serveRole({
  open: async (options: SinkOptions): Promise<void> => {
    const marker = Buffer.from(`"${options.idMember}":"`);
    greetings = options.greetings;
    let next = 0;
    const connectNext = async (): Promise<void> => {
      for (let i = next++; i < options.sockets; i = next++) await openOne(options, i < options.parsed, marker);
    };
    await Promise.all(Array.from({ length: 32 }, connectNext));
    // Any message counts as a sign of life; the feed ends a connection that is silent for 90 s.
    keepAlive = setInterval(() => {
      for (const client of clients) client.send('{"type":"pong"}');
    }, 20_000);
  },
  /** Forgets everything seen so far; events of other runs are ignored from now on. */
  begin: (options: { run: string; maxEvents: number; measureFromUs: number }): void => {
    run = `${options.run}.`;
    measureFromUs = options.measureFromUs;
    latency = new Latency();
    duplicates = 0;
    closed = [];
    parsed = parsed.map(() => ({ bits: new Uint8Array(options.maxEvents >> 3), seen: 0 }));
    base = counters.map((counter) => Math.max(0, counter.large() - greetings));
  },
  /** Waits until every socket has `events` events, or nothing has arrived for `quietMs`. */
  wait: async ({ events, quietMs }: { events: number; quietMs: number }): Promise<void> => {
    let before = -1;
    let quietSince = nowUs();
    for (;;) {
      const { seen, countedMin, deliveries } = result();
      if (seen.every((n) => n >= events) && (counters.length === 0 || countedMin >= events)) return;
      if (deliveries !== before) {
        before = deliveries;
        quietSince = nowUs();
      } else if (nowUs() - quietSince > quietMs * 1000) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  result: (): SinkResult => result(),
  missing: ({ sent, limit }: { sent: number; limit: number }): number[] => {
    const missing: number[] = [];
    for (const { bits } of parsed)
      for (let n = 0; n < sent && missing.length < limit; n++) if (((bits[n >> 3] ?? 0) & (1 << (n & 7))) === 0) missing.push(n);
    return missing;
  },
  close: (): void => {
    clearInterval(keepAlive);
    for (const client of clients) client.terminate();
    clients = [];
    counters = [];
    parsed = [];
  },
});

function result(): SinkResult {
  const counted = counters.map((counter, i) => counter.large() - greetings - (base[i] ?? 0));
  return {
    seen: parsed.map((one) => one.seen),
    duplicates,
    countedMin: counted.length === 0 ? 0 : Math.min(...counted),
    countedMax: counted.length === 0 ? 0 : Math.max(...counted),
    deliveries: counted.reduce((sum, n) => sum + n, 0) + parsed.reduce((sum, one) => sum + one.seen, 0),
    latency: latency.percentiles(),
    closed,
  };
}

function openOne(options: SinkOptions, reads: boolean, marker: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const at = { host: options.host, port: options.port, path: reads ? options.parsedPath : options.path, headers: options.headers ?? {} };
    const common = {
      onOpen: resolve,
      onRefused: (status: number, body: string) => reject(new Error(`refused with ${status}: ${body.slice(0, 300)}`)),
      onClose: (code: number, reason: string) => {
        closed.push(`${code} ${reason}`);
        reject(new Error(`closed ${code} ${reason}`));
      },
    };
    if (reads) {
      const slot = parsed.length;
      parsed.push({ bits: new Uint8Array(0), seen: 0 });
      clients.push(connectWs(at, { ...common, onMessage: (payload) => onMessage(slot, payload, marker) }));
    } else {
      const counter = createFrameCounter();
      counters.push(counter);
      clients.push(connectWs(at, { ...common, onBytes: (chunk) => counter.feed(chunk) }));
    }
  });
}

function onMessage(slot: number, payload: Buffer, marker: Buffer): void {
  const start = payload.lastIndexOf(marker);
  if (start === -1) return;
  const from = start + marker.length;
  const id = payload.toString("latin1", from, payload.indexOf(34, from));
  if (!id.startsWith(run)) return;
  const dot = id.indexOf(".", run.length);
  const n = Number.parseInt(id.slice(run.length, dot), 36);
  const dueUs = Number.parseInt(id.slice(dot + 1), 36);
  const one = parsed[slot];
  if (!one) return;
  const bit = 1 << (n & 7);
  const byte = one.bits[n >> 3] ?? 0;
  if (byte & bit) duplicates++;
  else {
    one.bits[n >> 3] = byte | bit;
    one.seen++;
    if (dueUs >= measureFromUs) latency.recordUs(nowUs() - dueUs);
  }
}
