import { ConfigError } from "@headwater/runtime";
import { expect, it } from "vitest";
import { parseAuthConfig } from "./config.ts";

it("has defaults and reads lists", () => {
  expect(parseAuthConfig({})).toMatchObject({ defaultDomains: [], natsReplicas: 1 });
  expect(parseAuthConfig({ AUTH_DEFAULT_DOMAINS: "a.example, *.b.example" }).defaultDomains).toEqual(["a.example", "*.b.example"]);
  expect(() => parseAuthConfig({ NATS_REPLICAS: "9" })).toThrow(ConfigError);
});
