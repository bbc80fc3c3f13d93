/**
 * One keep-alive HTTP/1.1 connection without pipelining, over a plain socket: the generator must cost less than what it measures.
 * One request at a time; reconnects by itself before the next request. Touches one TCP socket.
 */
import net from "node:net";

export interface HttpAnswer {
  status: number;
  head: string;
  body: string;
}

/** No answer: the connection failed or closed first, or the deadline passed. Whether the server did the work is unknown. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

export interface HttpConnectionOptions {
  host: string;
  port: number;
  timeoutMs: number;
}

export class HttpConnection {
  readonly #options: HttpConnectionOptions;
  #socket: net.Socket | undefined;
  #text = "";
  #pending: { resolve: (answer: HttpAnswer) => void; reject: (error: Error) => void } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: HttpConnectionOptions) {
    this.#options = options;
  }

  get busy(): boolean {
    return this.#pending !== undefined;
  }

  /** `request` is the complete request text, head and body. @throws NoAnswer */
  send(request: string): Promise<HttpAnswer> {
    if (this.#pending) throw new Error("one request at a time");
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      // One timer per connection, refreshed instead of re-created.
      if (this.#timer) this.#timer.refresh();
      else this.#timer = setTimeout(() => this.#onDeadline(), this.#options.timeoutMs).unref();
      this.#connected().write(request);
    });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #onDeadline(): void {
    if (this.#pending) this.#drop(new NoAnswer("deadline"));
  }

  #connected(): net.Socket {
    if (this.#socket) return this.#socket;
    const socket = net.connect({ host: this.#options.host, port: this.#options.port, noDelay: true });
    this.#socket = socket;
    this.#text = "";
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", (error) => {
      if (this.#socket === socket) this.#drop(new NoAnswer(error.message));
    });
    socket.on("close", () => {
      if (this.#socket === socket) this.#drop(new NoAnswer("closed"));
    });
    return socket;
  }

  #drop(error: NoAnswer): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(error);
  }

  #onData(chunk: Buffer): void {
    this.#text += chunk.toString("latin1");
    const end = this.#text.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = this.#text.slice(0, end);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    let body: string;
    if (length !== undefined) {
      const total = end + 4 + Number(length);
      if (this.#text.length < total) return;
      body = this.#text.slice(end + 4, total);
    } else if (/\r\ntransfer-encoding: chunked/i.test(head)) {
      if (!this.#text.endsWith("0\r\n\r\n")) return;
      body = unchunk(this.#text.slice(end + 4));
    } else body = "";
    this.#text = "";
    const pending = this.#pending;
    this.#pending = undefined;
    if (/\r\nconnection: close/i.test(head)) {
      this.#socket?.destroy();
      this.#socket = undefined;
    }
    pending?.resolve({ status: Number(head.slice(9, 12)), head, body });
  }
}

function unchunk(text: string): string {
  let body = "";
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, end), 16);
    if (!(size > 0)) return body;
    body += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
