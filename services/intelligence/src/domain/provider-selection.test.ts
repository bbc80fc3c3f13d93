import { expect, it } from "vitest";
import { NO_PROVIDERS, selectProvider } from "./provider-selection.ts";

const CONFIGURED = [
  { id: "azure-openai", aliases: ["azure"] },
  { id: "gemini", aliases: ["google"] },
  { id: "builtin", aliases: [] },
];

it.each([
  ["the one asked for", "gemini", undefined, "gemini"],
  ["an alias, any case", " Google ", undefined, "gemini"],
  ["an alias", "azure", undefined, "azure-openai"],
  ["the one asked for over the default", "builtin", "gemini", "builtin"],
  ["the default", undefined, "google", "gemini"],
  ["the first one when the default is not configured", undefined, "openai", "azure-openai"],
  ["the first one", "", undefined, "azure-openai"],
])("selects %s", (_, requested, preferred, id) => {
  expect(selectProvider(CONFIGURED, requested, preferred)).toEqual({ ok: true, id });
});

it.each(["openai", "xai", "constructor"])("never replaces %s, asked for and not configured", (name) => {
  expect(selectProvider(CONFIGURED, name, "gemini")).toEqual({
    ok: false,
    code: "not_configured",
    message: `provider '${name}' not configured`,
  });
});

it("says when there is none at all", () => {
  expect(selectProvider([], "openai", "openai")).toEqual({ ok: false, code: "none_configured", message: NO_PROVIDERS });
  expect(NO_PROVIDERS).toBe("No LLM providers configured. Please set API keys in environment variables.");
});
