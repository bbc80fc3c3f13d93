import { beforeEach, describe, expect, it, vi } from "vitest";
import { type Completion, type CompletionRequest, countedUsage, type Provider, ProviderError } from "../domain/provider.ts";
import { resilient, type ResilientProvider } from "./resilient-provider.ts";

type Try = (request: CompletionRequest) => Promise<Completion>;
const DONE: Completion = { text: "fine", usage: countedUsage(10, 5), model: "m" };
const answers: Try = async (request) => {
  request.onToken?.("fine");
  return DONE;
};
const fails =
  (error: ProviderError): Try =>
  async () => {
    throw error;
  };
/** Deaf to its signal: the worst client there is. */
const hangs: Try = () => new Promise(() => undefined);
const http = (status: number, retryAfterMs?: number): ProviderError =>
  new ProviderError(status === 429 ? "rate_limited" : "http", `HTTP ${status}`, { status, retryAfterMs });

let tries: number;
function wrap(...script: Try[]): ResilientProvider {
  tries = 0;
  const provider: Provider = {
    id: "fake",
    model: "m",
    complete(request) {
      const step = script[Math.min(tries, script.length - 1)];
      tries += 1;
      return step === undefined ? Promise.reject(new Error("no script")) : step(request);
    },
  };
  return resilient(provider, {
    timeoutMs: 5_000,
    monotonicMs: () => performance.now(),
    random: () => 0,
    breaker: { failures: 3, pauseMs: 1_000, maxPauseMs: 4_000 },
  });
}
const request = (over: Partial<CompletionRequest> = {}): CompletionRequest => ({
  system: "s".repeat(40),
  messages: [{ role: "user", content: "u".repeat(40) }],
  maxTokens: 10,
  temperature: 0,
  signal: new AbortController().signal,
  material: { feedName: "f", question: "q", entries: [] },
  ...over,
});
const outcome = (call: Promise<Completion>): Promise<Completion | ProviderError> =>
  call.catch((error: unknown) => {
    if (error instanceof ProviderError) return error;
    throw error;
  });

beforeEach(() => {
  vi.useFakeTimers();
  return () => vi.useRealTimers();
});

describe("retry", () => {
  it.each([http(500), http(503), http(429), new ProviderError("unreachable", "not reachable")])("once after $message", async (error) => {
    const call = outcome(wrap(fails(error), answers).complete(request()));
    await vi.advanceTimersByTimeAsync(500);
    expect(await call).toEqual(DONE);
    expect(tries).toBe(2);
  });

  it("not twice", async () => {
    const call = outcome(wrap(fails(http(500))).complete(request()));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await call).toMatchObject({ code: "http", status: 500 });
    expect(tries).toBe(2);
  });

  it("waits as long as the provider asks", async () => {
    const call = outcome(wrap(fails(http(429, 2_000)), answers).complete(request()));
    await vi.advanceTimersByTimeAsync(1_999);
    expect(tries).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await call).toEqual(DONE);
  });

  it.each([
    ["the pause is longer than what is left", http(429, 6_000)],
    ["the pause is too long anyway", http(503, 60_000)],
    ["our request is wrong", http(400)],
    ["the key is refused", http(401)],
    ["the answer is unusable", new ProviderError("bad_answer", "unreadable answer")],
  ])("not when %s", async (_, error) => {
    expect(await outcome(wrap(fails(error)).complete(request()))).toBe(error);
    expect(tries).toBe(1);
  });

  it("not after tokens were told: nobody reads the same words twice", async () => {
    const half: Try = async (inner) => {
      inner.onToken?.("half an answer!!");
      throw http(500);
    };
    const pieces: string[] = [];
    const error = await outcome(wrap(half).complete(request({ onToken: (piece) => pieces.push(piece) })));
    expect(pieces).toEqual(["half an answer!!"]);
    expect(tries).toBe(1);
    expect(error).toMatchObject({ code: "http", usage: { inputTokens: 20, outputTokens: 4, estimated: true } });
  });
});

describe("deadline", () => {
  it("ends a call that hangs, though its client is deaf", async () => {
    const call = outcome(wrap(hangs).complete(request()));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await call).toMatchObject({ code: "timeout", message: "timed out" });
  });

  it("is over both tries together", async () => {
    const call = outcome(wrap(fails(http(500)), hangs).complete(request()));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await call).toMatchObject({ code: "timeout" });
    expect(tries).toBe(2);
  });

  it.each([
    ["a caller with less patience shortens it", 1_000, 1_000],
    ["a caller with more does not lengthen it", 60_000, 5_000],
  ])("%s, retry included", async (_, withinMs, expected) => {
    const call = outcome(wrap(fails(http(500)), hangs).complete(request({ withinMs })));
    await vi.advanceTimersByTimeAsync(expected - 1);
    expect(tries).toBe(2);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await call).toMatchObject({ code: "timeout", message: "timed out" });
  });

  it("leaves no timer behind", async () => {
    await wrap(answers).complete(request());
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("cancel", () => {
  it.each([
    ["while the provider thinks", [hangs], 10],
    ["while it waits for the second try", [fails(http(500)), answers], 10],
  ] satisfies [string, Try[], number][])("takes effect at once %s", async (_, script, ms) => {
    const caller = new AbortController();
    const call = outcome(wrap(...script).complete(request({ signal: caller.signal })));
    await vi.advanceTimersByTimeAsync(ms);
    caller.abort();
    expect(await call).toMatchObject({ code: "cancelled" });
    expect(vi.getTimerCount()).toBe(0);
  });

  it("before the call asks nobody", async () => {
    expect(await outcome(wrap(answers).complete(request({ signal: AbortSignal.abort() })))).toMatchObject({ code: "cancelled" });
    expect(tries).toBe(0);
  });

  it("ends the tokens too", async () => {
    const caller = new AbortController();
    const pieces: string[] = [];
    const talks: Try = async (inner) => {
      inner.onToken?.("one");
      caller.abort();
      inner.onToken?.("two");
      return DONE;
    };
    expect(await outcome(wrap(talks).complete(request({ signal: caller.signal, onToken: (piece) => pieces.push(piece) })))).toMatchObject({
      code: "cancelled",
    });
    expect(pieces).toEqual(["one"]);
  });
});

it("cuts off an answer without end", async () => {
  const talks: Try = async (inner) => {
    while (!inner.signal.aborted) inner.onToken?.("word ".repeat(1_000));
    return DONE;
  };
  expect(await outcome(wrap(talks).complete(request({ onToken: () => undefined })))).toMatchObject({ message: "answer too long" });
  const long: Try = async () => ({ ...DONE, text: "x".repeat(100_000) });
  expect(await outcome(wrap(long).complete(request()))).toMatchObject({ message: "answer too long", usage: DONE.usage });
});

describe("circuit breaker", () => {
  const refuse = new ProviderError("bad_answer", "empty answer");

  it("refuses at once after failures in a row, then probes", async () => {
    const provider = wrap(fails(refuse), fails(refuse), fails(refuse), answers);
    for (let at = 0; at < 3; at++) await outcome(provider.complete(request()));
    expect(await outcome(provider.complete(request()))).toMatchObject({ code: "paused", retryAfterMs: 1_000 });
    expect(tries).toBe(3);
    expect(provider.isPaused()).toBe(true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await outcome(provider.complete(request()))).toEqual(DONE);
    expect(provider.isPaused()).toBe(false);
  });

  it("opens when the provider takes longer than callers have patience", async () => {
    const provider = wrap(hangs);
    for (let at = 0; at < 3; at++) {
      const call = outcome(provider.complete(request({ withinMs: 1_000 })));
      await vi.advanceTimersByTimeAsync(1_000);
      await call;
    }
    expect(provider.isPaused()).toBe(true);
  });

  it.each([
    ["a request the provider refuses", () => [fails(http(400))], undefined],
    ["a caller that leaves", () => [hangs], AbortSignal.timeout],
  ])("does not count %s", async (_, script, leave) => {
    const provider = wrap(...script());
    for (let at = 0; at < 5; at++) {
      const caller = new AbortController();
      const call = outcome(provider.complete(request({ signal: caller.signal })));
      if (leave) caller.abort();
      await call;
    }
    expect(provider.isPaused()).toBe(false);
  });
});
