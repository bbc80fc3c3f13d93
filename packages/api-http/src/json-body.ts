/**
 * JSON bodies: at most 1 MiB, UTF-8, one object, nested at most 64 deep; any content type, because clients of this surface often send none.
 * Compressed bodies are refused: nobody needs them here, and they are how small requests become big. Tests: json-body.test.ts, shell.test.ts.
 */
import type { Request, RequestHandler } from "express";
import { ApiError } from "./api-error.ts";

export const MAX_BODY_BYTES = 1_048_576;
const MAX_DEPTH = 64;
const TEXT = Symbol("body text");

type Read = Request & { [TEXT]?: string };

/** Source text of the body that `jsonBody` parsed: numbers as they were written. `{}` when there was none. */
export function bodyTextOf(req: Request): string {
  return (req as Read)[TEXT] ?? "{}";
}

/** Puts the parsed object on `req.body`; a request without a body has `{}`. */
export const jsonBody: RequestHandler = async (req: Read, _res, next) => {
  const encoding = req.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity")
    throw new ApiError("UNSUPPORTED_MEDIA_TYPE", { message: "content encoding is not supported" });
  const bytes = await readBody(req);
  // The caller hung up: nobody to answer.
  if (bytes === undefined) return;
  req.body = parseObject(bytes);
  // As it was parsed: without a byte order mark.
  if (bytes.byteLength > 0) req[TEXT] = decode(bytes);
  next();
};

async function readBody(req: Request): Promise<Buffer | undefined> {
  if (Number(req.headers["content-length"] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of req.iterator({ destroyOnReturn: false })) {
      if (!Buffer.isBuffer(chunk)) throw new TypeError("the body was decoded before");
      size += chunk.byteLength;
      if (size > MAX_BODY_BYTES) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    if (req.destroyed && !(error instanceof ApiError)) return undefined;
    throw error;
  }
  return Buffer.concat(chunks);
}

/** The rest of the body is not waited for. */
function tooLarge(): ApiError {
  return new ApiError("PAYLOAD_TOO_LARGE", { headers: { Connection: "close" } });
}

/** @throws ApiError `invalid payload` */
export function parseObject(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.byteLength === 0) return {};
  let value: unknown;
  try {
    const text = decode(bytes);
    if (depthOf(text) > MAX_DEPTH) throw new ApiError("INVALID_PAYLOAD");
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("INVALID_PAYLOAD", {}, { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new ApiError("INVALID_PAYLOAD");
  // The cast holds: an object that is neither null nor an array, out of JSON.parse.
  return value as Record<string, unknown>;
}

/** @throws TypeError when it is not UTF-8 */
function decode(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/** Deepest nesting of arrays and objects, whether or not the text is JSON. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (isInString) {
      if (char === 0x5c) i++;
      else if (char === 0x22) isInString = false;
    } else if (char === 0x22) isInString = true;
    else if (char === 0x5b || char === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (char === 0x5d || char === 0x7d) depth--;
  }
  return deepest;
}
