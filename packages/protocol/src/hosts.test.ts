import { describe, expect, it } from "vitest";
import vectors from "../vectors/hosts.json" with { type: "json" };
import { hostMatches, hostOfOrigin } from "./hosts.ts";
import { originPermitted } from "./origin-rule.ts";
import { SiteRecord } from "./registry.ts";
import { KEY_TYPES } from "./visit-event.ts";

function site(domains: string[], requireOrigin: boolean): SiteRecord {
  return SiteRecord.parse({
    id: "s",
    tenantId: "t",
    name: "main",
    domains,
    settings: { requireOrigin },
    createdAt: "2026-01-01T00:00:00Z",
  });
}

describe("hosts", () => {
  it.each(vectors.matches)("$host against $patterns: $matches", ({ host, patterns, matches }) => {
    expect(hostMatches(host, patterns)).toBe(matches);
  });
  it.each(vectors.origins)("host of $value", ({ value, host }) => expect(hostOfOrigin(value)).toBe(host ?? undefined));
  it.each(vectors.permitted)("origin rule: $why", (v) => {
    const keyType = KEY_TYPES.find((type) => type === v.keyType) ?? "browser";
    const credential = { keyType, domains: v.domains, sites: [site(v.siteDomains, v.requireOrigin)] };
    expect(originPermitted(credential, v.origin ?? undefined)).toBe(v.permitted);
  });
});
