/** Labels rows by a running system: posts them to the collector and reads the labels back from the Signals Feed. */
import { LabeledEvent } from "@headwater/protocol";
import { fetch, WebSocket } from "undici";
import type { LabeledRow, Row } from "./report.ts";

export interface Endpoint {
  /** Base URL of collector and feed, http or https. */
  readonly url: string;
  readonly writeKey: string;
  readonly readKey: string;
}

const BATCH = 50;
/** A frame that has not come after this long since the last one is lost. */
const SILENCE_MS = 15_000;

export async function labelOverNetwork(rows: readonly Row[], endpoint: Endpoint): Promise<LabeledRow[]> {
  // Marks this run's visitors, so that other traffic of the tenant and earlier runs do not mix in.
  const run = `ua${Date.now().toString(36)}`;
  const frames = new Map<number, LabeledEvent>();
  const feed = await openFeed(endpoint);
  const complete = collect(feed, run, rows.length, frames);
  for (let start = 0; start < rows.length; start += BATCH) await post(rows.slice(start, start + BATCH), start, run, endpoint);
  await complete;
  feed.close(1000);
  return rows.map((row, i) => {
    const frame = frames.get(i);
    if (frame === undefined) throw new Error(`no frame for row ${i}`);
    return { row, frame };
  });
}

async function openFeed(endpoint: Endpoint): Promise<WebSocket> {
  const url = new URL("/v1/signals/stream", endpoint.url);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, ["clickstream-v1", endpoint.readKey]);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("message", () => resolve(), { once: true });
    socket.addEventListener("error", () => reject(new Error("the feed refused the connection")), { once: true });
    socket.addEventListener("close", (event) => reject(new Error(`the feed closed: ${event.code} ${event.reason}`)), { once: true });
  });
  return socket;
}

/** Resolves when every row's frame has come. */
function collect(feed: WebSocket, run: string, expected: number, frames: Map<number, LabeledEvent>): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(new Error(`${expected - frames.size} frames did not come within ${SILENCE_MS} ms`));
    let timer = setTimeout(giveUp, SILENCE_MS);
    feed.addEventListener("close", (event) => reject(new Error(`the feed closed: ${event.code} ${event.reason}`)));
    feed.addEventListener("message", (event) => {
      const message: unknown = JSON.parse(String(event.data));
      if (isPing(message)) return feed.send(JSON.stringify({ type: "pong", timestamp: message.timestamp }));
      const frame = LabeledEvent.safeParse(message);
      if (!frame.success || !frame.data.visitorId.startsWith(`vis_${run}_`)) return;
      frames.set(Number(frame.data.visitorId.slice(`vis_${run}_`.length)), frame.data);
      clearTimeout(timer);
      if (frames.size === expected) resolve();
      else timer = setTimeout(giveUp, SILENCE_MS);
    });
  });
}

function isPing(message: unknown): message is { type: "ping"; timestamp: number } {
  return typeof message === "object" && message !== null && "type" in message && message.type === "ping";
}

async function post(rows: readonly Row[], start: number, run: string, endpoint: Endpoint): Promise<void> {
  const timestamp = Date.now();
  const events = rows.map((row, i) => ({
    type: "pageview",
    visitorId: `vis_${run}_${start + i}`,
    sessionId: `sess_${run}_${start + i}`,
    timestamp,
    page: { path: "/", title: "" },
    device: { userAgent: row.ua, viewport: { width: 1280, height: 800 } },
  }));
  const body = JSON.stringify({ events });
  for (;;) {
    const response = await fetch(new URL("/v1/events", endpoint.url), {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": endpoint.writeKey },
      body,
    });
    const answer = await response.text();
    if (response.status === 202) return requireAllAccepted(answer, rows.length, start);
    if (response.status !== 429) throw new Error(`rows from ${start}: HTTP ${response.status} ${answer.slice(0, 200)}`);
    const waitSec = Number(response.headers.get("retry-after") ?? 1);
    await new Promise((resolve) => setTimeout(resolve, 1_000 * waitSec));
  }
}

function requireAllAccepted(answer: string, expected: number, start: number): void {
  const { accepted } = JSON.parse(answer) as { accepted?: unknown };
  if (accepted !== expected) throw new Error(`rows from ${start}: ${String(accepted)} of ${expected} accepted: ${answer.slice(0, 200)}`);
}
