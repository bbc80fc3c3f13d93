/**
 * Asks an HTTP address again and again: first at once, then every `pollingInterval`. A failed poll is the end of the connection, so that
 * waiting longer and longer is the feed's business as for every other kind; what was seen last survives it. Redirects are not followed,
 * bodies are bounded, unchanged answers are dropped. Tests: http-poller.int.test.ts.
 */
import { createHash } from "node:crypto";
import type { LookupFunction } from "node:net";
import { type HttpPolling, MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { parseDataPath, selectJson } from "@headwater/topic-path";
import { Agent, type Dispatcher, request } from "undici";
import type { Connection, ConnectionEvents, ConnectionSpec, Connector } from "./connector.ts";
import type { OutboundGuard, OutboundTarget } from "./outbound-guard.ts";
import { headersOf, withQuery } from "./websocket-connector.ts";

const DEFAULTS: HttpPolling = { method: "GET", pollingInterval: 5_000, timeout: 10_000, requestHeaders: {}, emitDuplicates: false };
const MIN_INTERVAL_MS = 1_000;
const MAX_TIMEOUT_MS = 60_000;

/** What is remembered from one answer to the next, also over failures. */
interface Seen {
  etag: string | undefined;
  digest: string | undefined;
}

export function createHttpPoller(spec: ConnectionSpec, guard: OutboundGuard): Connector {
  const seen: Seen = { etag: undefined, digest: undefined };
  return { open: (events) => new Poll(spec, guard, seen, events) };
}

/** Why a poll was of no use; the message is for the feed's owner. */
class PollFailed extends Error {
  override readonly name = "PollFailed";
  readonly isFault: boolean;
  constructor(message: string, isFault = false) {
    super(message);
    this.isFault = isFault;
  }
}

class Poll implements Connection {
  readonly #spec: ConnectionSpec;
  readonly #config: HttpPolling;
  readonly #guard: OutboundGuard;
  readonly #seen: Seen;
  readonly #events: ConnectionEvents;
  readonly #abort = new AbortController();
  #target: OutboundTarget | undefined;
  #agent: Agent | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOpen = false;
  #isOver = false;
  #isPaused = false;

  constructor(spec: ConnectionSpec, guard: OutboundGuard, seen: Seen, events: ConnectionEvents) {
    this.#spec = spec;
    this.#config = { ...DEFAULTS, ...spec.secrets.httpConfig };
    this.#guard = guard;
    this.#seen = seen;
    this.#events = events;
    this.#later(0);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#release();
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => void this.#run(), ms);
  }

  async #run(): Promise<void> {
    try {
      // Over its budget a feed skips polls.
      if (!this.#isPaused) await this.#poll();
    } catch (error) {
      return this.#end(error instanceof Error ? error : new Error("poll failed"));
    }
    if (!this.#isOver) this.#later(Math.max(MIN_INTERVAL_MS, this.#config.pollingInterval));
  }

  async #poll(): Promise<void> {
    const target = await this.#guard.resolve(this.#spec.url, "http-polling");
    if (this.#isOver) return;
    this.#target = target;
    const answer = await this.#ask(target);
    const body = await readBody(answer);
    if (this.#isOver) return;
    if (answer.statusCode !== 304 && (answer.statusCode < 200 || answer.statusCode > 299)) {
      throw new PollFailed(`poll was answered with ${answer.statusCode}`);
    }
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#events.onOpen();
    }
    if (answer.statusCode === 304) return this.#events.onDropped("duplicate");
    if (body === undefined) {
      this.#events.onDropped("size");
      throw new PollFailed(`an answer is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`, true);
    }
    const { etag } = answer.headers;
    this.#seen.etag = typeof etag === "string" ? etag : undefined;
    this.#emit(body);
  }

  async #ask(target: OutboundTarget): Promise<Dispatcher.ResponseData> {
    const { method, timeout, requestBody } = this.#config;
    const timeoutMs = Math.min(MAX_TIMEOUT_MS, Math.max(1, timeout));
    // Each new connection of the agent goes to what was checked last.
    const lookup: LookupFunction = (name, options, callback) => (this.#target ?? target).lookup(name, options, callback);
    this.#agent ??= new Agent({ connect: { lookup, timeout: timeoutMs }, connections: 1, maxHeaderSize: 16 * 1024 });
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(timeoutMs)]);
    return request(withQuery(target.url, this.#spec.secrets.queryParams), {
      dispatcher: this.#agent,
      method: method.toUpperCase() as Dispatcher.HttpMethod,
      headers: this.#headers(),
      signal,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      ...(requestBody === undefined || method.toUpperCase() === "GET" ? {} : { body: requestBody }),
    });
  }

  #headers(): Record<string, string | string[]> {
    const { requestHeaders, method } = this.#config;
    const own = headersOf([...this.#spec.secrets.headers.filter(({ key }) => !hasName(requestHeaders, key))]).headers;
    const asked = headersOf(Object.entries(requestHeaders).map(([key, value]) => ({ key, value }))).headers;
    const headers: Record<string, string | string[]> = { accept: "*/*", "accept-encoding": "identity", ...own, ...asked };
    if (method.toUpperCase() !== "GET" && !hasName(headers, "content-type")) headers["content-type"] = "application/json";
    if (this.#seen.etag !== undefined && !this.#config.emitDuplicates && !hasName(headers, "if-none-match")) {
      headers["if-none-match"] = this.#seen.etag;
    }
    return headers;
  }

  #emit(body: Buffer): void {
    const digest = createHash("sha256").update(body).digest("base64");
    const isRepeated = digest === this.#seen.digest;
    this.#seen.digest = digest;
    if (isRepeated && !this.#config.emitDuplicates) return this.#events.onDropped("duplicate");
    const { dataPath } = this.#config;
    if (dataPath === undefined || dataPath.trim() === "") return this.#events.onFrame(body, false);
    const part = partOf(body, dataPath);
    if (part === undefined) this.#events.onDropped("path");
    else this.#events.onFrame(part, false);
  }

  #end(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    void this.#release();
    this.#events.onEnd(describePoll(error), error instanceof PollFailed && error.isFault);
  }

  async #release(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort.abort();
    const agent = this.#agent;
    this.#agent = undefined;
    await agent?.destroy().catch(alreadyAborted);
  }
}

/** What a destroyed agent rejects are requests that were aborted just before. */
function alreadyAborted(): void {
  return undefined;
}

function hasName(headers: Record<string, unknown>, name: string): boolean {
  return Object.keys(headers).some((key) => key.trim().toLowerCase() === name.trim().toLowerCase());
}

/** Undefined: more than a message may have; the rest is not read. */
async function readBody(answer: Dispatcher.ResponseData): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    const part = chunk as Buffer;
    bytes += part.length;
    // Leaving the loop destroys the stream and with it the connection.
    if (bytes > MAX_UPSTREAM_MESSAGE_BYTES) return undefined;
    chunks.push(part);
  }
  return Buffer.concat(chunks);
}

/** A string at the path is the message's text; anything else stays JSON. */
function partOf(body: Buffer, dataPath: string): string | undefined {
  const parsed = parseDataPath(dataPath);
  if (!parsed.ok) return undefined;
  const text = body.toString();
  try {
    JSON.parse(text);
  } catch {
    return undefined; // the caller counts it: no path leads into text
  }
  return selectJson(parsed.path, text);
}

function describePoll(error: Error): string {
  if (error instanceof PollFailed) return error.message;
  if (error.name === "OutboundRefused" || error.name === "Unresolvable") return error.message;
  if (error.name === "TimeoutError" || /TIMEOUT/.test(codeOf(error))) return "the poll was not answered in time";
  const code = codeOf(error);
  return code === "" ? "poll failed" : `poll failed (${code})`;
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "";
}
