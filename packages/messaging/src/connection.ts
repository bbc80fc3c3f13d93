/**
 * One NATS connection of a service. Reconnects for ever with jitter; while it is down nothing is queued in memory:
 * callers see `connected() === false` and decide. The only package that imports the NATS client.
 * Tests: connection.int.test.ts.
 */
import { inboxPrefixOf } from "@headwater/protocol";
import type { Clock, Logger } from "@headwater/runtime";
import {
  AuthorizationError,
  connect,
  createInbox,
  headers as createHeaders,
  type Msg as ClientMsg,
  type MsgHdrs,
  type NatsConnection,
  NoRespondersError,
  TimeoutError,
} from "@nats-io/transport-node";

export interface Msg {
  subject: string;
  reply: string | undefined;
  data: Uint8Array;
  /** 0 when the server sent no status line; 503 = no responders. */
  status: number;
  header(name: string): string | undefined;
  /** False when the sender asked for no answer. */
  respond(data: string | Uint8Array, headers?: Record<string, string>): boolean;
}

export type ConnectionEvent = "disconnect" | "reconnect" | "close";

export interface Subscription {
  unsubscribe(): void;
}

export interface Nats {
  readonly name: string;
  readonly closed: boolean;
  connected(): boolean;
  core: {
    publish(subject: string, data: string | Uint8Array, options?: { reply?: string; headers?: Record<string, string> }): void;
    /** Rejects with {@link NoResponders} at once, {@link RequestTimeout} after `timeoutMs`, or the client's own error when the connection is gone. */
    request(
      subject: string,
      data: string | Uint8Array,
      options?: { timeoutMs?: number; headers?: Record<string, string> | undefined },
    ): Promise<Msg>;
    subscribe(subject: string, options: { queue?: string; callback: (msg: Msg) => void }): Subscription;
  };
  flush(): Promise<void>;
  /** Flushes, ends every subscription, closes. Idempotent. */
  drain(): Promise<void>;
  /** @returns function that ends the listening. */
  onStatus(listener: (event: ConnectionEvent) => void): () => void;
}

export class NoResponders extends Error {
  override readonly name = "NoResponders";
}
export class RequestTimeout extends Error {
  override readonly name = "RequestTimeout";
}

export interface NatsOptions {
  url: string;
  user?: string;
  password?: string;
  /** Shown by the server in connection lists. */
  name: string;
  log: Logger;
  clock?: Clock;
  /** Give up the first connect after this many ms; later reconnects never give up. Default 30,000. */
  connectWithinMs?: number;
}

class Link implements Nats {
  readonly name: string;
  readonly connection: NatsConnection;
  /** Undefined = the client's default, for servers without users. */
  readonly inboxPrefix: string | undefined;
  readonly core: Nats["core"];
  readonly #log: Logger;
  readonly #listeners = new Set<(event: ConnectionEvent) => void>();
  #up = true;

  constructor(name: string, connection: NatsConnection, log: Logger, inboxPrefix: string | undefined) {
    this.inboxPrefix = inboxPrefix;
    this.name = name;
    this.connection = connection;
    this.#log = log;
    this.core = {
      publish: (subject, data, options) =>
        connection.publish(subject, data, {
          ...(options?.reply === undefined ? {} : { reply: options.reply }),
          ...(options?.headers === undefined ? {} : { headers: toHeaders(options.headers) }),
        }),
      request: (subject, data, options) => this.#request(subject, data, options),
      subscribe: (subject, options) => {
        const sub = connection.subscribe(subject, {
          ...(options.queue === undefined ? {} : { queue: options.queue }),
          callback: (error, msg) => {
            if (error) log.error({ err: error, subject }, "nats.subscription_failed");
            else options.callback(fromClient(msg));
          },
        });
        return { unsubscribe: () => sub.unsubscribe() };
      },
    };
    void this.#watchStatus();
  }

  get closed(): boolean {
    return this.connection.isClosed();
  }
  connected(): boolean {
    return this.#up && !this.connection.isClosed();
  }
  flush(): Promise<void> {
    return this.connection.flush();
  }
  async drain(): Promise<void> {
    if (this.connection.isClosed() || this.connection.isDraining()) return;
    // A drain waits for the server; without one, or when it goes meanwhile, there is nothing to wait for.
    if (!this.#up) return this.connection.close();
    try {
      await this.connection.drain();
    } catch (error) {
      this.#log.warn({ err: error }, "nats.drain_failed");
      await this.connection.close();
    }
  }
  onStatus(listener: (event: ConnectionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #request(
    subject: string,
    data: string | Uint8Array,
    options: { timeoutMs?: number; headers?: Record<string, string> | undefined } = {},
  ): Promise<Msg> {
    try {
      const answer = await this.connection.request(subject, data, {
        timeout: options.timeoutMs ?? 2_000,
        ...(options.headers === undefined ? {} : { headers: toHeaders(options.headers) }),
      });
      return fromClient(answer);
    } catch (error) {
      if (isCausedBy(error, NoRespondersError)) throw new NoResponders(`nobody answers on ${subject}`, { cause: error });
      if (isCausedBy(error, TimeoutError)) throw new RequestTimeout(`no answer on ${subject} in time`, { cause: error });
      throw error;
    }
  }

  #emit(event: ConnectionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  async #watchStatus(): Promise<void> {
    for await (const status of this.connection.status()) {
      switch (status.type) {
        case "disconnect":
          this.#up = false;
          this.#log.warn({ server: status.server }, "nats.disconnected");
          this.#emit("disconnect");
          break;
        case "reconnect":
          this.#up = true;
          this.#log.info({ server: status.server }, "nats.reconnected");
          this.#emit("reconnect");
          break;
        case "error":
          this.#log.error({ err: status.error }, "nats.server_error");
          break;
        case "slowConsumer":
          this.#log.warn({ pending: status.pending }, "nats.slow_consumer");
          break;
        default:
          break;
      }
    }
    this.#up = false;
    this.#emit("close");
  }
}

/** @throws when the server is not reachable within `connectWithinMs`, or refuses the credentials. */
export async function openNats(options: NatsOptions): Promise<Nats> {
  const started = performance.now();
  const inboxPrefix = options.user === undefined ? undefined : inboxPrefixOf(options.user);
  const within = options.connectWithinMs ?? 30_000;
  for (let attempt = 0; ; attempt++) {
    try {
      const connection = await connect({
        servers: options.url.split(","),
        name: options.name,
        ...(options.user === undefined ? {} : { user: options.user, pass: options.password ?? "" }),
        ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
        maxReconnectAttempts: -1,
        reconnectDelayHandler: () => 100 + Math.random() * 200,
        // A paused or half-dead server is noticed in about ten seconds.
        pingInterval: 5_000,
        maxPingOut: 2,
        timeout: 5_000,
        ignoreAuthErrorAbort: true,
      });
      return new Link(options.name, connection, options.log, inboxPrefix);
    } catch (error) {
      const refused = isCausedBy(error, AuthorizationError);
      if (refused || performance.now() - started > within) throw error;
      if (attempt === 0) options.log.warn({ err: error }, "nats.waiting_for_server");
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 200));
    }
  }
}

/** The client's connection behind a {@link Nats}; for this package only, not exported from index.ts. */
export function connectionOf(nats: Nats): NatsConnection {
  if (nats instanceof Link) return nats.connection;
  throw new TypeError("not a connection made by openNats");
}

/** A fresh inbox under this connection's own prefix, where nobody else may listen. For this package only. */
export function newInbox(nats: Nats): string {
  if (nats instanceof Link) return createInbox(nats.inboxPrefix);
  throw new TypeError("not a connection made by openNats");
}

export function toHeaders(values: Record<string, string>): MsgHdrs {
  const result = createHeaders();
  for (const [name, value] of Object.entries(values)) result.set(name, value);
  return result;
}

function fromClient(msg: ClientMsg): Msg {
  return {
    subject: msg.subject,
    reply: msg.reply,
    data: msg.data,
    status: msg.headers?.code ?? 0,
    header: (name) => msg.headers?.get(name) || undefined,
    respond: (data, values) => msg.respond(data, values === undefined ? {} : { headers: toHeaders(values) }),
  };
}

/** The client wraps its errors: looks along the cause chain. */
function isCausedBy(error: unknown, kind: abstract new (...args: never[]) => Error): boolean {
  return error instanceof Error && (error instanceof kind || isCausedBy((error as Error).cause, kind));
}
