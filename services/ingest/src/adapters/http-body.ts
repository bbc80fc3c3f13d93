/** Request bodies: bounded while they arrive, inflated within a bound, valid UTF-8, not too deep, then parsed. Tests: collector.int.test.ts. */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { type ErrorCode, MAX_BODY_BYTES, MAX_INFLATED_BYTES } from "@headwater/protocol";
import { isDeeperThan } from "../domain/json-depth.ts";

const MAX_DEPTH = 32;
const MEDIA_TYPES: ReadonlySet<string> = new Set(["application/json", "text/plain", "application/x-www-form-urlencoded"]);
const inflate = promisify(gunzip);

export type JsonBody =
  | { ok: true; value: unknown /** After inflating. */; bytes: number }
  | { ok: false; code: ErrorCode; message?: string }
  /** The client is gone; there is nobody to answer. */
  | { ok: false; code: "aborted" };

/** Bytes of bodies in memory over all requests: many slow senders must not add up. */
export class BodyBudget {
  readonly #maxBytes: number;
  #used = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get used(): number {
    return this.#used;
  }

  take(bytes: number): boolean {
    if (this.#used + bytes > this.#maxBytes) return false;
    this.#used += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#used -= bytes;
  }
}

type Encoding = "identity" | "gzip";

/** Beacons cannot send `application/json` without a preflight that never completes, so three types carry the same JSON text. */
export async function readJsonBody(req: IncomingMessage, budget: BodyBudget): Promise<JsonBody> {
  const encoding = encodingOf(req);
  if (encoding === undefined || !isAcceptedMedia(req.headers["content-type"])) return { ok: false, code: "unsupported_media_type" };
  if (Number(req.headers["content-length"] ?? 0) > MAX_BODY_BYTES) return { ok: false, code: "payload_too_large" };
  const held = { bytes: 0 };
  try {
    const raw = await collect(req, budget, held);
    if (typeof raw === "string") return { ok: false, code: raw };
    const body = encoding === "gzip" ? await inflated(raw, budget, held) : raw;
    return typeof body === "string" ? { ok: false, code: body } : parsed(body);
  } finally {
    budget.giveBack(held.bytes);
  }
}

function parsed(body: Buffer): JsonBody {
  if (!isUtf8(body)) return { ok: false, code: "invalid_json", message: "The body is not valid UTF-8" };
  if (isDeeperThan(body, MAX_DEPTH)) return { ok: false, code: "invalid_request", message: `The body is nested deeper than ${MAX_DEPTH}` };
  try {
    return { ok: true, value: JSON.parse(body.toString("utf8")) as unknown, bytes: body.length };
  } catch {
    return { ok: false, code: "invalid_json" }; // the parser's text would quote the body
  }
}

function encodingOf(req: IncomingMessage): Encoding | undefined {
  const value = (req.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  return value === "identity" || value === "gzip" ? value : undefined;
}

function isAcceptedMedia(contentType: string | undefined): boolean {
  if (contentType === "application/json") return true;
  const [media = "", ...parameters] = (contentType ?? "").toLowerCase().split(";");
  if (!MEDIA_TYPES.has(media.trim())) return false;
  return parameters.every((parameter) => {
    const [name = "", value = ""] = parameter.split("=");
    return name.trim() !== "charset" || ["utf-8", "utf8", "us-ascii"].includes(value.trim().replace(/^"|"$/g, ""));
  });
}

type Failure = "payload_too_large" | "overloaded" | "invalid_request" | "aborted";

/** @param held grows with what was taken from the budget. */
function collect(req: IncomingMessage, budget: BodyBudget, held: { bytes: number }): Promise<Buffer | Failure> {
  // Gone while its key was being verified: no event will come any more.
  if (req.destroyed) return Promise.resolve("aborted");
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let isOver = false;
    // The rest is read and thrown away, so that the client gets to see the answer.
    const giveUp = (failure: Failure): void => {
      isOver = true;
      chunks.length = 0;
      resolve(failure);
    };
    req.on("data", (chunk: Buffer) => {
      if (isOver) return;
      size += chunk.length;
      if (size > MAX_BODY_BYTES) return giveUp("payload_too_large");
      if (!budget.take(chunk.length)) return giveUp("overloaded");
      held.bytes += chunk.length;
      chunks.push(chunk);
    });
    req.on("end", () => resolve(chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks)));
    req.on("error", () => giveUp("aborted"));
    req.on("close", () => giveUp("aborted"));
  });
}

async function inflated(raw: Buffer, budget: BodyBudget, held: { bytes: number }): Promise<Buffer | Failure> {
  if (!budget.take(MAX_INFLATED_BYTES)) return "overloaded";
  held.bytes += MAX_INFLATED_BYTES;
  try {
    return await inflate(raw, { maxOutputLength: MAX_INFLATED_BYTES });
  } catch (error) {
    return (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE" ? "payload_too_large" : "invalid_request";
  }
}
