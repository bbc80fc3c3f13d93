/**
 * A JSON request whose answer is a document or lines of one: what providers without an SDK of ours need. Lines end at LF or CRLF.
 * Tests: providers.int.test.ts.
 */
import { badAnswer, httpError } from "./errors.ts";
import type { ProviderContext } from "./row.ts";

export interface JsonPost {
  url: string;
  headers?: Record<string, string>;
  body: unknown;
  signal: AbortSignal;
}

/** @throws ProviderError for any status but 2xx. */
export async function post(context: ProviderContext, request: JsonPost): Promise<Response> {
  const response = await context.fetch(request.url, {
    method: "POST",
    headers: { "content-type": "application/json", ...request.headers },
    body: JSON.stringify(request.body),
    signal: request.signal,
  });
  if (response.ok) return response;
  await response.body?.cancel();
  throw httpError(response, context.now());
}

/** Non-empty lines as they come. */
export async function* linesOf(response: Response): AsyncGenerator<string> {
  if (response.body === null) return;
  let rest = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") yield line.trim();
  }
  if (rest.trim() !== "") yield rest.trim();
}

export function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badAnswer("unreadable answer", error);
  }
}
