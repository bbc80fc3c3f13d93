import { ConfigError } from "@headwater/runtime";
import { describe, expect, it } from "vitest";
import { IntelligenceEnv, parseIntelligenceConfig } from "./config.ts";

const providersOf = (env: Record<string, string>): string[] =>
  parseIntelligenceConfig(env).llm.providers.map(({ id, model }) => `${id} ${model}`);

describe("parseIntelligenceConfig", () => {
  it("has defaults", () => {
    const { llm, api, ...rest } = parseIntelligenceConfig({});
    const { providers, candidates, ...settings } = llm;
    expect(api.REQUEST_TIMEOUT_MS).toBe(15_000);
    expect(rest).toEqual({
      natsConnectTimeoutMs: 30_000,
      natsReplicas: 1,
      databasePoolSize: 4,
      contexts: { entries: 50, topicsPerFeed: 1_000, bytesPerFeed: 16_777_216, bytes: 268_435_456 },
      limits: { tenantConcurrency: 4, perMinute: 60, burst: 20, overdraftHardLimit: undefined },
      auto: { mode: "subscribed", maxTopicsPerFeed: 20 },
    });
    expect(providers.map(({ id }) => id)).toEqual(["builtin"]);
    expect(candidates.map(({ id, model }) => `${id} ${model}`)).toEqual(["ollama llama3.2"]);
    expect(settings).toEqual({
      defaultProvider: "openai",
      timeoutMs: 60_000,
      maxTokens: 1_024,
      temperature: 0.7,
      maxConcurrency: 8,
      queryIntervalMs: 10_000,
    });
  });

  it("reads every variable of its own", () => {
    const { llm, api, ...rest } = parseIntelligenceConfig({
      NATS_CONNECT_TIMEOUT_MS: "500",
      DEFAULT_AI_PROVIDER: "Google",
      LLM_TIMEOUT_MS: "5000",
      LLM_MAX_TOKENS: "64",
      LLM_TEMPERATURE: "0.25",
      LLM_MAX_CONCURRENCY: "2",
      LLM_CONTEXT_LIMIT: "10",
      LLM_QUERY_INTERVAL_SECONDS: "30",
      LLM_BUILTIN: "off",
      OLLAMA_DISCOVERY_URL: "off",
      NATS_REPLICAS: "3",
      DATABASE_POOL_SIZE: "7",
      MAX_TOPICS_PER_FEED: "100",
      LLM_CONTEXT_FEED_BYTES: "100000",
      LLM_CONTEXT_BYTES: "2000000",
      LLM_TENANT_CONCURRENCY: "9",
      LLM_REQUESTS_PER_MINUTE: "6",
      LLM_REQUEST_BURST: "5",
      TOKEN_OVERDRAFT_HARD_LIMIT: "1.5",
      AUTO_ANALYSIS: "always",
      MAX_AUTO_TOPICS_PER_FEED: "4",
      CORS_ORIGIN: "https://app.example.com",
    });
    expect(api.CORS_ORIGIN).toEqual(["https://app.example.com"]);
    expect(rest).toEqual({
      natsConnectTimeoutMs: 500,
      natsReplicas: 3,
      databasePoolSize: 7,
      contexts: { entries: 10, topicsPerFeed: 100, bytesPerFeed: 100_000, bytes: 2_000_000 },
      limits: { tenantConcurrency: 9, perMinute: 6, burst: 5, overdraftHardLimit: 1.5 },
      auto: { mode: "always", maxTopicsPerFeed: 4 },
    });
    expect(llm).toEqual({
      providers: [],
      candidates: [],
      defaultProvider: "Google",
      timeoutMs: 5_000,
      maxTokens: 64,
      temperature: 0.25,
      maxConcurrency: 2,
      queryIntervalMs: 30_000,
    });
  });

  it.each([
    [{ AZURE_OPENAI_ENDPOINT: "https://x.openai.azure.com", AZURE_OPENAI_API_KEY: "k" }, "azure-openai gpt-4o"],
    [
      { AZURE_OPENAI_ENDPOINT: "https://x.openai.azure.com", AZURE_OPENAI_API_KEY: "k", AZURE_OPENAI_DEPLOYMENT_NAME: "mine" },
      "azure-openai mine",
    ],
    [{ OPENAI_API_KEY: "k" }, "openai gpt-4o"],
    [{ OPENAI_API_KEY: "k", OPENAI_MODEL: "m" }, "openai m"],
    [{ ANTHROPIC_API_KEY: "k" }, "anthropic claude-3-5-sonnet-20241022"],
    [{ ANTHROPIC_API_KEY: "k", ANTHROPIC_MODEL: "m" }, "anthropic m"],
    [{ GOOGLE_API_KEY: "k" }, "gemini gemini-1.5-flash"],
    [{ GOOGLE_API_KEY: "k", GOOGLE_MODEL: "m" }, "gemini m"],
    [{ MISTRAL_API_KEY: "k" }, "mistral mistral-large-latest"],
    [{ MISTRAL_API_KEY: "k", MISTRAL_MODEL: "m" }, "mistral m"],
    [{ XAI_API_KEY: "k" }, "grok grok-beta"],
    [{ XAI_API_KEY: "k", XAI_MODEL: "m" }, "grok m"],
    [{ OLLAMA_BASE_URL: "http://localhost:11434" }, "ollama llama3.2"],
    [{ OLLAMA_MODEL: "m" }, "ollama m"],
  ])("%j makes a provider available", (env, provider) => {
    expect(providersOf({ ...env, LLM_BUILTIN: "off" })).toEqual([provider]);
  });

  it("lists providers in the order of preference, builtin last", () => {
    expect(
      providersOf({
        XAI_API_KEY: "k",
        OLLAMA_MODEL: "m",
        OPENAI_API_KEY: "k",
        AZURE_OPENAI_API_KEY: "k",
        AZURE_OPENAI_ENDPOINT: "https://a.b",
        GOOGLE_API_KEY: "k",
        MISTRAL_API_KEY: "k",
        ANTHROPIC_API_KEY: "k",
      }).map((text) => text.split(" ")[0]),
    ).toEqual(["azure-openai", "openai", "anthropic", "gemini", "mistral", "grok", "ollama", "builtin"]);
  });

  it.each([{ AZURE_OPENAI_API_KEY: "k" }, { AZURE_OPENAI_ENDPOINT: "https://a.b" }, { OPENAI_API_KEY: "" }, { OPENAI_MODEL: "m" }])(
    "%j is not enough",
    (env) => {
      expect(providersOf({ ...env, LLM_BUILTIN: "off" })).toEqual([]);
    },
  );

  it.each([
    { NATS_CONNECT_TIMEOUT_MS: "soon" },
    { DEFAULT_AI_PROVIDER: "skynet" },
    { LLM_TIMEOUT_MS: "0" },
    { LLM_MAX_TOKENS: "many" },
    { LLM_TEMPERATURE: "3" },
    { LLM_MAX_CONCURRENCY: "0" },
    { LLM_CONTEXT_LIMIT: "0" },
    { LLM_QUERY_INTERVAL_SECONDS: "7" },
    { AUTO_ANALYSIS: "never" },
    { TOKEN_OVERDRAFT_HARD_LIMIT: "0.5" },
    { LLM_CONTEXT_BYTES: "10" },
    { CORS_ORIGIN: "here" },
    { LLM_BUILTIN: "perhaps" },
    { OPENAI_BASE_URL: "ftp://x" },
    { ANTHROPIC_BASE_URL: "https://user:password@host" },
    { GOOGLE_BASE_URL: "https://host/?key=1" },
    { MISTRAL_BASE_URL: "here" },
    { XAI_BASE_URL: "https://host/#part" },
    { OLLAMA_BASE_URL: "localhost:11434" },
    { OLLAMA_DISCOVERY_URL: "localhost:11434" },
    { OLLAMA_DISCOVERY_URL: "no" },
    { AZURE_OPENAI_ENDPOINT: "x" },
  ])("refuses %j", (env) => {
    const [name = ""] = Object.keys(env);
    expect(() => parseIntelligenceConfig(env)).toThrow(ConfigError);
    expect(() => parseIntelligenceConfig(env)).toThrow(name);
  });

  it("names every bad setting at once", () => {
    expect(() => parseIntelligenceConfig({ LLM_TIMEOUT_MS: "x", OPENAI_BASE_URL: "x" })).toThrow(/LLM_TIMEOUT_MS.*\n.*OPENAI_BASE_URL/);
  });

  it("describes every setting", () => {
    const undescribed = Object.entries(IntelligenceEnv.shape).filter(([, schema]) => (schema.description ?? "") === "");
    expect(undescribed.map(([name]) => name)).toEqual([]);
  });
});
