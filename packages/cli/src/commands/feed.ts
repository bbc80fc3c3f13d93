/**
 * `headwater feed`: subscribes to the Signals Feed as any client would, prints one event a line, and comes back with its cursor after
 * an interruption. The key travels in a header. Tests: feed/session.test.ts, test/e2e.
 */
import { FEED_INCLUDES } from "@headwater/protocol";
import { countOf, durationMs, listOf, oneOf, parse } from "../arguments.ts";
import { askWhyRefused } from "../feed/refusal.ts";
import { type CloseEffect, onClose, onFrame, reconnectDelayMs } from "../feed/session.ts";
import { findTarget } from "../system/target.ts";
import { CommandFailed, type Terminal, UsageError } from "../terminal.ts";

const STABLE_MS = 60_000;

export async function feedCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, {
    key: { type: "string" },
    url: { type: "string" },
    include: { type: "string" },
    filter: { type: "string", multiple: true },
    since: { type: "string" },
    limit: { type: "string" },
  });
  const key = args.text("key") ?? terminal.env["HEADWATER_KEY"];
  if (!key) throw new UsageError("--key is required");
  const include = listOf(args.text("include")).map((name) => oneOf(name, FEED_INCLUDES, "include"));
  const given = args.text("url") ?? `${findTarget(args.port, terminal).url.replace(/^http/, "ws")}/v1/signals/stream`;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (!url || !/^wss?:$/.test(url.protocol)) throw new UsageError(`--url ${given} is not a ws:// or wss:// URL`);
  url.searchParams.set("include", [...new Set([...include, "cursor"])].join(","));
  for (const filter of args.all("filter")) {
    const at = filter.indexOf("=");
    if (at < 1) throw new UsageError(`--filter ${filter}: give name=value`);
    url.searchParams.set(filter.slice(0, at), filter.slice(at + 1));
  }
  const since = args.text("since");
  if (since !== undefined) url.searchParams.set("since", String(Date.now() - durationMs(since, "since")));
  const limit = args.text("limit") === undefined ? Number.POSITIVE_INFINITY : countOf(args.required("limit"), "limit");
  return await new Subscriber(url, key, include.includes("cursor"), limit, terminal).run();
}

class Subscriber {
  readonly #url: URL;
  readonly #headers: Record<string, string>;
  readonly #showCursor: boolean;
  readonly #terminal: Terminal;
  #left: number;
  #attempt = 0;
  /** Waiting for the reader of our output, in order. */
  #printed: Promise<void> = Promise.resolve();

  constructor(url: URL, key: string, showCursor: boolean, limit: number, terminal: Terminal) {
    this.#url = url;
    this.#headers = { "X-API-Key": key };
    this.#showCursor = showCursor;
    this.#left = limit;
    this.#terminal = terminal;
  }

  async run(): Promise<number> {
    while (!this.#terminal.stop.aborted) {
      const end = await this.#connectOnce();
      await this.#printed;
      if (end.effect === "done" || this.#left <= 0) return 0;
      if (end.effect === "give_up") throw new CommandFailed(`the feed ended: ${end.reason}`);
      const delayMs = reconnectDelayMs(this.#attempt++, Math.random());
      this.#terminal.err(`${end.reason}; again in ${(delayMs / 1_000).toFixed(1)} s\n`);
      await this.#pause(delayMs);
    }
    return 0;
  }

  async #connectOnce(): Promise<{ effect: CloseEffect; reason: string }> {
    const socket = new WebSocket(this.#url, { headers: this.#headers });
    const stop = (): void => socket.close(1000, "bye");
    this.#terminal.stop.addEventListener("abort", stop, { once: true });
    let openedAt: number | undefined;
    try {
      return await new Promise((resolve) => {
        socket.addEventListener("open", () => {
          openedAt = performance.now();
        });
        socket.addEventListener("message", (message) => this.#receive(String(message.data), socket));
        socket.addEventListener("close", (event) => {
          if (openedAt === undefined) void this.#explain().then(resolve);
          else resolve({ effect: onClose(event.code), reason: `closed with ${event.code} ${event.reason}`.trim() });
        });
        // A failed handshake gives `error` and then `close`; the close decides.
        socket.addEventListener("error", () => undefined);
      });
    } finally {
      this.#terminal.stop.removeEventListener("abort", stop);
      if (openedAt !== undefined && performance.now() - openedAt > STABLE_MS) this.#attempt = 0;
    }
  }

  async #explain(): Promise<{ effect: CloseEffect; reason: string }> {
    if (this.#terminal.stop.aborted) return { effect: "done", reason: "stopped" };
    const refusal = await askWhyRefused(this.#url, this.#headers);
    if (!refusal) return { effect: "again", reason: `no connection to ${this.#url.host}` };
    const passes = refusal.status === 429 || refusal.status >= 500;
    return { effect: passes ? "again" : "give_up", reason: refusal.message };
  }

  #receive(text: string, socket: WebSocket): void {
    if (this.#left <= 0) return;
    const effect = onFrame(text, this.#showCursor, Date.now());
    if ("cursor" in effect && effect.cursor !== undefined) {
      this.#url.searchParams.delete("since");
      this.#url.searchParams.set("cursor", effect.cursor);
    }
    switch (effect.kind) {
      case "answer":
        socket.send(effect.text);
        break;
      case "note":
        this.#terminal.err(`${effect.text}\n`);
        break;
      case "event":
        this.#printed = this.#printed.then(() => this.#terminal.out(`${effect.line}\n`));
        if (--this.#left <= 0) socket.close(1000, "bye");
        break;
      case "nothing":
        break;
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      const { stop } = this.#terminal;
      function done(): void {
        clearTimeout(timer);
        stop.removeEventListener("abort", done);
        resolve();
      }
      stop.addEventListener("abort", done, { once: true });
    });
  }
}
