/**
 * Model providers for tests: one loopback server that speaks the OpenAI (also Azure, Mistral, Grok), Anthropic, Gemini and Ollama protocols,
 * told apart by path, well or as badly as asked. Records every call, whether its caller left, and how many were open at once.
 * Tests: llm-server.int.test.ts.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { anthropicWire } from "./anthropic-wire.ts";
import { geminiWire } from "./gemini-wire.ts";
import { ollamaTagsWire, ollamaWire } from "./ollama-wire.ts";
import { openaiWire } from "./openai-wire.ts";
import type { CannedAnswer, LlmWire } from "./wire.ts";

const WIRES: readonly LlmWire[] = [openaiWire, anthropicWire, geminiWire, ollamaWire, ollamaTagsWire];

export type LlmBehaviour =
  /** `everyMs`: pause before each piece of a stream, or before a whole answer. */
  | { kind: "answer"; pieces?: readonly string[]; delayMs?: number; everyMs?: number; hasUsage?: boolean }
  | { kind: "empty" }
  /** Takes the request and says nothing; `until` is there: then it answers well. */
  | { kind: "hang"; until?: Promise<void> }
  | { kind: "status"; status: number; headers?: Record<string, string>; body?: unknown }
  /** 200 with something that is not the protocol. */
  | { kind: "garbage"; text?: string }
  /** Begins to answer, then cuts the connection, or (`quietly`) ends as if that were all. */
  | { kind: "half"; pieces?: readonly string[]; quietly?: boolean }
  /** Never stops answering. */
  | { kind: "endless"; piece: string };

export interface LlmServerCall {
  protocol: LlmWire["protocol"];
  /** With query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: Record<string, unknown>;
  stream: boolean;
  /** The connection closed before the answer was complete: the caller left, or the behaviour was `half`. */
  isAbandoned: boolean;
  isDone: boolean;
}

export interface LlmServerOptions {
  /** Pieces of a good answer. */
  answer?: (call: LlmServerCall) => readonly string[];
  inputTokens?: number;
  outputTokens?: number;
}

export interface LlmServer {
  readonly port: number;
  /** Without path: add `/v1` for the OpenAI protocol. */
  readonly url: string;
  /** Of one protocol or all, oldest first. */
  calls(protocol?: LlmWire["protocol"]): LlmServerCall[];
  /** Calls being answered now. */
  open(): number;
  mostAtOnce(): number;
  /** One behaviour per call, in order; the last one stays. */
  behave(...behaviours: LlmBehaviour[]): void;
  stop(): Promise<void>;
}

export async function startLlmServer(options: LlmServerOptions = {}): Promise<LlmServer> {
  const calls: LlmServerCall[] = [];
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  let script: LlmBehaviour[] = [{ kind: "answer" }];
  let most = 0;
  const open = (): number => calls.filter((call) => !call.isDone && !call.isAbandoned).length;

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        resolve();
      }, ms);
      timers.add(timer);
    });

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(Buffer.from(chunk as Uint8Array));
    const path = req.url ?? "/";
    const [bare = path] = path.split("?");
    const wire = WIRES.find((candidate) => candidate.matches(bare) && (candidate.method ?? "POST") === req.method);
    if (wire === undefined) return void res.writeHead(404).end("{}");
    const body = JSON.parse(wire.method === "GET" ? "{}" : Buffer.concat(chunks).toString()) as Record<string, unknown>;
    const stream = wire.wantsStream(bare, body);
    const call: LlmServerCall = { protocol: wire.protocol, path, headers: req.headers, body, stream, isAbandoned: false, isDone: false };
    calls.push(call);
    most = Math.max(most, open());
    res.on("finish", () => (call.isDone = true));
    res.on("close", () => (call.isAbandoned = !call.isDone));
    const behaviour = script.length > 1 ? script.shift() : script[0];
    await perform(behaviour ?? { kind: "answer" }, wire, wire.model(bare, body), call, res);
  }

  async function perform(behaviour: LlmBehaviour, wire: LlmWire, model: string, call: LlmServerCall, res: ServerResponse): Promise<void> {
    const json = (status: number, body: unknown, headers: Record<string, string> = {}): void =>
      void res.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
    const canned = (pieces: readonly string[], hasUsage = true): CannedAnswer => ({
      model,
      pieces,
      inputTokens: options.inputTokens ?? 120,
      outputTokens: options.outputTokens ?? 30,
      hasUsage,
    });
    const good = wire.pieces ?? options.answer?.(call) ?? ["Prices ", "are", " rising."];
    const begin = (): void => void res.writeHead(200, { "content-type": wire.streamType });
    switch (behaviour.kind) {
      case "hang":
        if (behaviour.until === undefined) return;
        await behaviour.until;
        if (!res.destroyed) await perform({ kind: "answer" }, wire, model, call, res);
        return;
      case "status":
        return json(behaviour.status, behaviour.body ?? wire.error(behaviour.status, "the provider's own words"), behaviour.headers);
      case "garbage":
        return void res
          .writeHead(200, { "content-type": call.stream ? wire.streamType : "application/json" })
          .end(behaviour.text ?? "<html>ok</html>\n\n");
      case "half": {
        const parts = wire.stream(canned(behaviour.pieces ?? ["Half an "]), call.body);
        begin();
        res.write(parts.head + parts.pieces.join(""), () => (behaviour.quietly === true ? res.end() : res.destroy()));
        return;
      }
      case "endless": {
        const parts = wire.stream(canned([behaviour.piece]), call.body);
        begin();
        res.write(parts.head);
        while (!res.destroyed) {
          if (!res.write(parts.pieces[0] ?? "")) await Promise.race([once(res, "drain"), once(res, "close")]);
          await pause(0);
        }
        return;
      }
      case "empty":
      case "answer": {
        const { delayMs = 0, everyMs = 0, pieces = good, hasUsage = true } = behaviour.kind === "answer" ? behaviour : { pieces: [] };
        if (delayMs > 0) await pause(delayMs);
        if (!call.stream) {
          if (everyMs > 0) await pause(everyMs);
          return json(200, wire.document(canned(pieces, hasUsage)));
        }
        const parts = wire.stream(canned(pieces, hasUsage), call.body);
        begin();
        res.write(parts.head);
        for (const piece of parts.pieces) {
          if (everyMs > 0) await pause(everyMs);
          if (res.destroyed) return;
          res.write(piece);
        }
        return void res.end(parts.tail);
      }
    }
  }

  const server = createServer((req, res) => {
    // A caller that leaves in the middle of its request has nothing more to be told.
    answer(req, res).catch(() => res.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    calls: (protocol) => calls.filter((call) => protocol === undefined || call.protocol === protocol),
    open,
    mostAtOnce: () => most,
    behave(...behaviours) {
      script = behaviours;
    },
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function once(res: ServerResponse, event: "drain" | "close"): Promise<void> {
  return new Promise((resolve) => res.once(event, () => resolve()));
}
