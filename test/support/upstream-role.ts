/**
 * Somebody else's server as a process of its own: one WebSocket path per feed of the plan (feed-plan.ts), messages by a timetable that no
 * slow reader can slow down, and a record of every connection, so that "connected exactly once" can be judged. Loopback only.
 */
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Latency } from "../bench/support/latency.ts";
import { textFrame } from "../bench/baselines/text-frame.ts";
import { WebSocketServer } from "ws";
import { messageAt, messageText, type PlannedFeed, planFeeds } from "./feed-plan.ts";
import { nowUs } from "./monotonic.ts";
import { serveRole } from "./role.ts";

export interface UpstreamPlan {
  feeds: number;
  plainEvery: number;
}

export interface UpstreamSending {
  run: string;
  /** Messages a second over all feeds. */
  rate: number;
  /** Undefined: until `stop`. */
  seconds?: number;
  /** Lag counts from here, seconds after the start. */
  warmupSeconds?: number;
}

export interface UpstreamSent {
  /** Messages that were due. */
  sent: number;
  /** Of these, those whose feed had no connection: they went nowhere. */
  unsent: number[];
  /** ms between due and written, p99 of the measured part. */
  lagP99: number;
}

export interface UpstreamConnectionFact {
  feed: number;
  openedUs: number;
  closedUs?: number;
}

interface Peer {
  socket: Socket;
  fact: UpstreamConnectionFact;
}

let plan: PlannedFeed[] = [];
/** Newest connection of each feed, and all that ever were. */
const peers = new Map<number, Peer>();
const facts: UpstreamConnectionFact[] = [];
/** Messages of the run so far. */
let due = 0;
let sending: { stop: () => void; done: Promise<UpstreamSent> } | undefined;

serveRole({
  listen: ({ feeds, plainEvery }: UpstreamPlan): Promise<number> => {
    plan = planFeeds(feeds, plainEvery);
    const server = http.createServer((_request, response) => response.writeHead(426).end());
    const accept = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    server.on("upgrade", (request, stream, head) => {
      // An HTTP/1.1 upgrade socket of a TCP listener is a net.Socket.
      const socket = stream as Socket;
      const feed = Number(/^\/f\/(\d+)$/.exec(request.url ?? "")?.[1]);
      accept.handleUpgrade(request, socket, head, (ws) => {
        const peer: Peer = { socket, fact: { feed, openedUs: nowUs() } };
        peers.set(feed, peer);
        facts.push(peer.fact);
        ws.on("error", () => ws.terminate());
        ws.on("close", () => {
          peer.fact.closedUs = nowUs();
          if (peers.get(feed) === peer) peers.delete(feed);
        });
      });
    });
    // A TCP listener's address is an object; only pipes have a string.
    return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
  },
  /** Resolves when every feed has a connection, and at most one. */
  connected: async ({ withinMs }: { withinMs: number }): Promise<void> => {
    const deadline = nowUs() + withinMs * 1000;
    const open = (): number => facts.filter((fact) => fact.closedUs === undefined).length;
    while (peers.size < plan.length || open() > plan.length) {
      if (nowUs() > deadline) throw new Error(`${peers.size} of ${plan.length} feeds connected, ${open()} connections`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  connections: (): UpstreamConnectionFact[] => facts,
  /** @returns after the last message of a bounded run; an unbounded one begins and goes on. */
  run: async (options: UpstreamSending): Promise<UpstreamSent | undefined> => {
    let isStopped = false;
    const done = send(options, () => isStopped);
    sending = { stop: () => void (isStopped = true), done };
    if (options.seconds === undefined) return undefined;
    return done;
  },
  /** Waits until so many more messages were due. */
  more: async ({ messages }: { messages: number }): Promise<void> => {
    const goal = due + messages;
    while (due < goal) await new Promise((resolve) => setTimeout(resolve, 5));
  },
  stop: async (): Promise<UpstreamSent> => {
    if (!sending) throw new Error("nothing is being sent");
    sending.stop();
    return sending.done;
  },
});

async function send(options: UpstreamSending, isStopped: () => boolean): Promise<UpstreamSent> {
  const t0 = nowUs();
  const endUs = t0 + (options.seconds ?? Number.POSITIVE_INFINITY) * 1e6;
  const measureFromUs = t0 + (options.warmupSeconds ?? 0) * 1e6;
  const lag = new Latency();
  const unsent: number[] = [];
  let n = 0;
  due = 0;
  while (!isStopped()) {
    const now = nowUs();
    for (let dueUs = t0 + (n * 1e6) / options.rate; dueUs <= now && dueUs < endUs; dueUs = t0 + (++n * 1e6) / options.rate) {
      const planned = messageAt(plan, n);
      const peer = peers.get(planned.feed.index);
      // The frame's time is its due time: one that could not be sent in time is late, not later.
      if (peer === undefined || !peer.socket.writable) unsent.push(n);
      else peer.socket.write(textFrame(Buffer.from(messageText(planned, options.run, n, dueUs))));
      if (dueUs >= measureFromUs) lag.recordUs(nowUs() - dueUs);
    }
    due = n;
    if (now >= endUs) break;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return { sent: n, unsent, lagP99: lag.percentiles().p99 };
}
