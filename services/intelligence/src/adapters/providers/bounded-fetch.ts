/**
 * The fetch all providers use: follows no redirect (a key must not travel to another host) and reads at most so many bytes of an answer.
 * Tests: providers.int.test.ts.
 */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

class AnswerTooLarge extends Error {}

export function boundedFetch(maxBytes = MAX_ANSWER_BYTES): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, { ...init, redirect: "error" });
    if (response.body === null) return response;
    let left = maxBytes;
    const bounded = response.body.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          left -= chunk.byteLength;
          if (left < 0) controller.error(new AnswerTooLarge(`answer over ${maxBytes} bytes`));
          else controller.enqueue(chunk);
        },
      }),
    );
    const { status, statusText, headers } = response;
    return new Response(bounded, { status, statusText, headers });
  };
}
