/** An Ollama nobody configured: absent, there, without the model, coming and going, hanging, talking nonsense. The server is a real one. */
import { systemClock } from "@headwater/runtime";
import { collectingLogger, type LlmBehaviour, type LlmServer, startLlmServer, until } from "@headwater/testkit";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseIntelligenceConfig } from "../config.ts";
import { NO_PROVIDERS } from "../domain/provider-selection.ts";
import { openProviders, type ProviderPool } from "./provider-pool.ts";
import { ProviderSearch, SEARCH_TIMES } from "./provider-search.ts";
import { boundedFetch } from "./providers/bounded-fetch.ts";

/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:9";
const TAGS = "/api/tags";
const HERE: LlmBehaviour = { kind: "answer" };
const AWAY: LlmBehaviour = { kind: "status", status: 503 };

let server: LlmServer;
const closers: (() => unknown)[] = [];
beforeEach(async () => {
  server = await startLlmServer();
});
afterEach(async () => {
  for (const close of closers.splice(0)) close();
  await server.stop();
});

/** A search whose looks the test makes itself. `events` are what it said. */
function search(url = server.url, timeoutMs = 20_000): { look(): Promise<void>; stop(): void; events: string[]; isThere(): boolean } {
  const events: string[] = [];
  const looking = new ProviderSearch(
    parseIntelligenceConfig({ OLLAMA_DISCOVERY_URL: url }).llm.candidates,
    {
      context: { fetch: boundedFetch(64 * 1024), now: () => 0 },
      found: ({ id, model }) => events.push(`found ${id} ${model}`),
      gone: ({ id }) => events.push(`gone ${id}`),
    },
    { ...SEARCH_TIMES, timeoutMs },
  );
  closers.push(() => looking.stop());
  return { look: () => looking.look(), stop: () => looking.stop(), events, isThere: () => events.at(-1)?.startsWith("found") ?? false };
}

describe("a look", () => {
  it("finds an Ollama that has the model, and says so once", async () => {
    const { look, events } = search();
    await look();
    await look();
    expect(events).toEqual(["found ollama llama3.2"]);
    expect(server.calls().map(({ path }) => path)).toEqual([TAGS, TAGS]);
  });

  it.each<[string, LlmBehaviour, boolean]>([
    ["the model with its tag", { kind: "answer", pieces: ["qwen3:8b", "llama3.2:latest"] }, true],
    ["the model without a tag", { kind: "answer", pieces: ["llama3.2"] }, true],
    ["another size of the model", { kind: "answer", pieces: ["llama3.2:1b"] }, false],
    ["other models only", { kind: "answer", pieces: ["llama3.2-vision:latest", "qwen3:8b"] }, false],
    ["no model", { kind: "answer", pieces: [] }, false],
    ["an error", AWAY, false],
    ["another service", { kind: "garbage" }, false],
    ["JSON of another service", { kind: "garbage", text: '{"models":"llama3.2"}' }, false],
    ["half an answer", { kind: "half" }, false],
    ["a redirect", { kind: "status", status: 307, headers: { location: TAGS } }, false],
    ["more than anybody would read", { kind: "garbage", text: `{"models":[{"name":"llama3.2"}],"x":"${"y".repeat(65_536)}"}` }, false],
  ])("%s: %#", async (_what, behaviour, isThere) => {
    server.behave(behaviour);
    const looking = search();
    await looking.look();
    expect(server.calls()).toHaveLength(1);
    expect(looking.isThere()).toBe(isThere);
  });

  it("finds nobody where nobody listens", async () => {
    const looking = search(NOWHERE);
    await looking.look();
    expect(looking.events).toEqual([]);
  });

  it("does not wait for one that hangs, and leaves it", async () => {
    server.behave({ kind: "hang" });
    const looking = search(server.url, 50);
    await looking.look();
    expect(looking.events).toEqual([]);
    await until("the server saw us leave", () => server.calls().every(({ isAbandoned }) => isAbandoned));
    expect(server.calls()).toHaveLength(1);
  });

  it("ends with the search, and says nothing afterwards", async () => {
    const release = Promise.withResolvers<void>();
    server.behave({ kind: "hang", until: release.promise });
    const looking = search();
    const look = looking.look();
    await until("it looks", () => server.open() === 1);
    looking.stop();
    await look;
    release.resolve();
    expect(looking.events).toEqual([]);
  });
});

describe("one that comes and goes", () => {
  it("counts from the look that finds it to the second in a row that does not", async () => {
    server.behave(AWAY, HERE, AWAY, HERE, AWAY, AWAY, AWAY, HERE);
    const looking = search();
    const seen: boolean[] = [];
    for (let n = 0; n < 8; n++) {
      await looking.look();
      seen.push(looking.isThere());
    }
    expect(seen).toEqual([false, true, true, true, true, false, false, true]);
    expect(looking.events).toEqual(["found ollama llama3.2", "gone ollama", "found ollama llama3.2"]);
  });

  it("is gone when its server is", async () => {
    const looking = search();
    await looking.look();
    await server.stop();
    await looking.look();
    expect(looking.isThere()).toBe(true);
    await looking.look();
    expect(looking.events).toEqual(["found ollama llama3.2", "gone ollama"]);
  });
});

describe("the providers of a service", () => {
  function pool(env: Record<string, string>, everyMs = 5): { providers: ProviderPool; messages: () => unknown[] } {
    const { log, messages } = collectingLogger("debug");
    const providers = openProviders(parseIntelligenceConfig({ OLLAMA_DISCOVERY_URL: server.url, ...env }).llm, {
      clock: systemClock,
      log,
      search: { everyMs, timeoutMs: 20_000 },
    });
    closers.push(() => providers.stop());
    return { providers, messages };
  }
  const isListed = ({ ids }: ProviderPool) => ids.includes("ollama");
  const chosen = (providers: ProviderPool, name?: string) => {
    const selection = providers.select(name);
    return selection.ok ? selection.id : selection.message;
  };

  it("have it at the end: it answers who names it, and nobody else", async () => {
    const { providers, messages } = pool({});
    expect(chosen(providers, "ollama")).toBe("provider 'ollama' not configured");
    await until("it is found", () => isListed(providers));
    expect(providers.ids).toEqual(["builtin", "ollama"]);
    expect(providers.models()).toEqual({ builtin: "builtin-1", ollama: "llama3.2" });
    expect([chosen(providers), chosen(providers, "ollama")]).toEqual(["builtin", "ollama"]);
    expect(providers.isBilled("ollama")).toBe(true);
    const completion = await providers.get("ollama")?.complete({
      system: "You are brief.",
      messages: [{ role: "user", content: "What is new?" }],
      maxTokens: 7,
      temperature: 0,
      signal: new AbortController().signal,
      material: { feedName: "f", question: "What is new?", entries: [] },
    });
    expect(completion).toMatchObject({ text: "Prices are rising.", model: "llama3.2" });
    expect(messages()).toEqual(["llm.provider_found"]);
  });

  it("have it first when the operator says so beforehand, or turned the builtin analyst off", async () => {
    const named = pool({ DEFAULT_AI_PROVIDER: "ollama" }).providers;
    const alone = pool({ LLM_BUILTIN: "off" }).providers;
    expect([chosen(named), chosen(alone)]).toEqual(["builtin", NO_PROVIDERS]);
    await until("both found it", () => isListed(named) && isListed(alone));
    expect([chosen(named), chosen(alone)]).toEqual(["ollama", "ollama"]);
  });

  it("look again and again, and say what changed only", async () => {
    server.behave(AWAY, AWAY, HERE, AWAY, AWAY, HERE);
    const { providers, messages } = pool({});
    await until("it came, went and came", () => messages().length === 3);
    expect(messages()).toEqual(["llm.provider_found", "llm.provider_gone", "llm.provider_found"]);
    expect(isListed(providers)).toBe(true);
    await server.stop();
    await until("it is gone", () => !isListed(providers));
    expect([chosen(providers), chosen(providers, "ollama")]).toEqual(["builtin", "provider 'ollama' not configured"]);
    expect(messages().slice(3)).toEqual(["llm.provider_gone"]);
  });

  it("say nothing while nobody is there", async () => {
    server.behave(AWAY);
    const { providers, messages } = pool({});
    await until("it looked often", () => server.calls().length > 5);
    expect(providers.ids).toEqual(["builtin"]);
    expect(messages()).toEqual([]);
  });

  it("are at once what they are while a look hangs", () => {
    server.behave({ kind: "hang" });
    const { providers } = pool({ OPENAI_API_KEY: "k" });
    expect(providers.ids).toEqual(["openai", "builtin"]);
    expect(chosen(providers)).toBe("openai");
  });

  it.each([{ OLLAMA_DISCOVERY_URL: "off" }, { OLLAMA_MODEL: "mine" }, { OLLAMA_BASE_URL: NOWHERE }])(
    "are not looked for with %j",
    (env) => {
      expect(parseIntelligenceConfig({ OLLAMA_DISCOVERY_URL: server.url, ...env }).llm.candidates).toEqual([]);
      const { providers } = pool(env);
      expect(providers.ids).toEqual("OLLAMA_DISCOVERY_URL" in env ? ["builtin"] : ["ollama", "builtin"]);
      expect(server.calls()).toEqual([]);
    },
  );
});
