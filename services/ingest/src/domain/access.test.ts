import { describe, expect, it } from "vitest";
import { credential, site } from "../testing/samples.ts";
import { type AccessQuestion, decideAccess } from "./access.ts";

const ask = (overrides: Partial<AccessQuestion>) =>
  decideAccess({
    credential: credential(),
    scope: "events:write",
    origin: undefined,
    host: "t.shop.example",
    requireRegisteredHost: false,
    ...overrides,
  });

describe("decideAccess", () => {
  it.each<[string, Partial<AccessQuestion>, string]>([
    ["no origin", {}, "ok"],
    ["registered origin", { origin: "https://shop.example" }, "ok"],
    ["registered subdomain, any port", { origin: "https://www.shop.example:8443" }, "ok"],
    ["a referer", { origin: "https://shop.example/cart?x=1" }, "ok"],
    ["foreign origin", { origin: "https://evil.example" }, "origin_not_allowed"],
    ["look-alike origin", { origin: "https://shop.example.evil.example" }, "origin_not_allowed"],
    ["look-alike suffix", { origin: "https://notshop.example" }, "origin_not_allowed"],
    ["opaque origin", { origin: "null" }, "origin_not_allowed"],
    ["garbage origin", { origin: "::::" }, "origin_not_allowed"],
    ["any domain", { origin: "https://x.example", credential: credential({ domains: ["*"] }) }, "ok"],
    ["any domain, opaque origin", { origin: "null", credential: credential({ domains: ["*"] }) }, "ok"],
    [
      "the key's own domains win",
      { origin: "https://shop.example", credential: credential({ domains: ["a.example"] }) },
      "origin_not_allowed",
    ],
    ["a server key is exempt", { origin: "https://evil.example", credential: credential({ keyType: "server" }) }, "ok"],
    ["a mobile key is exempt", { origin: "https://evil.example", credential: credential({ keyType: "mobile" }) }, "ok"],
    ["an origin is required", { credential: credential({ sites: [site({ requireOrigin: true })] }) }, "origin_not_allowed"],
    ["missing scope", { credential: credential({ scopes: ["signals:read"] }) }, "insufficient_scope"],
    ["unregistered tracking host", { requireRegisteredHost: true }, "domain_not_allowed"],
    [
      "registered tracking host",
      { requireRegisteredHost: true, credential: credential({ sites: [site({ trackingHosts: ["t.shop.example"] })] }) },
      "ok",
    ],
    ["no host", { requireRegisteredHost: true, host: undefined }, "domain_not_allowed"],
    ["a tenant without a site", { credential: credential({ sites: [] }) }, "domain_not_allowed"],
  ])("%s", (_name, given, expected) => {
    const decision = ask(given);
    expect(decision.ok ? "ok" : decision.code).toBe(expected);
  });

  it("finds the site by origin, then by tracking host, then the first", () => {
    const sites = [
      site({}, { id: "any", domains: ["*"] }),
      site({}, { id: "blog", domains: ["blog.example"] }),
      site({ trackingHosts: ["t.app.example"] }, { id: "app", domains: ["app.example"] }),
    ];
    const many = credential({ sites });
    const idOf = (overrides: Partial<AccessQuestion>) => {
      const decision = ask({ credential: many, ...overrides });
      return decision.ok ? decision.site.id : decision.code;
    };
    expect(idOf({ origin: "https://blog.example" })).toBe("blog");
    expect(idOf({ origin: "https://else.example" })).toBe("any");
    expect(idOf({ host: "t.app.example" })).toBe("app");
    expect(idOf({ host: "x" })).toBe("any");
  });
});
