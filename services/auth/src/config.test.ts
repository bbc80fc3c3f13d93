import { ConfigError } from "@headwater/runtime";
import { expect, it } from "vitest";
import { parseAuthConfig } from "./config.ts";

it("has defaults and reads lists", () => {
  expect(parseAuthConfig({})).toMatchObject({ defaultDomains: [], natsReplicas: 1, hashConcurrency: 2, tokenQuotaPerMonth: undefined });
  expect(parseAuthConfig({ AUTH_DEFAULT_DOMAINS: "a.example, *.b.example" }).defaultDomains).toEqual(["a.example", "*.b.example"]);
  expect(parseAuthConfig({ TOKEN_QUOTA_PER_MONTH: "5" }).tokenQuotaPerMonth).toBe(5);
  expect(parseAuthConfig({ REQUEST_TIMEOUT_MS: "200" }).api.REQUEST_TIMEOUT_MS).toBe(200);
});

it.each([{ NATS_REPLICAS: "9" }, { TOKEN_QUOTA_PER_MONTH: "-1" }, { TOKEN_QUOTA_PER_MONTH: "many" }, { AUTH_HASH_CONCURRENCY: "0" }])(
  "refuses %j",
  (env) => expect(() => parseAuthConfig(env)).toThrow(ConfigError),
);
