import { type Credential, PLAN_LIMITS, SiteSettings } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { authorize, checkUpgrade, isAccessRevoked, parseSince, readCredential, readFeedOptions } from "./handshake.ts";

const site = (overrides: { domains?: string[]; settings?: unknown } = {}) => ({
  id: "main",
  tenantId: "t1",
  name: "main",
  domains: overrides.domains ?? ["shop.example", "*.shop.example"],
  settings: SiteSettings.parse(overrides.settings ?? {}),
  createdAt: "2026-01-01T00:00:00Z",
});
const credential = (overrides: Partial<Credential> = {}): Credential => ({
  keyId: "k1",
  keyType: "browser",
  tenantId: "t1",
  tenantSlug: "acme",
  plan: "scale",
  limits: PLAN_LIMITS[overrides.plan ?? "scale"],
  scopes: ["signals:read"],
  domains: [],
  sites: [site()],
  expiresAt: null,
  reg: 1,
  ...overrides,
});
const ask = (overrides: Partial<Credential>, origin?: string) =>
  authorize({ ok: true, credential: credential(overrides) }, { origin, upgradeUrl: "https://x.example/plans" });

describe("credential places", () => {
  const places = { subprotocols: [], query: undefined, header: undefined };
  it.each([
    ["none", {}, undefined],
    ["subprotocol first", { subprotocols: ["clickstream-v1", "a"], query: "b", header: "c" }, "a"],
    ["bare subprotocol carries none", { subprotocols: ["clickstream-v1"], query: "b", header: "c" }, "b"],
    ["header last", { header: "c" }, "c"],
    ["empty query is none", { query: "", header: "c" }, "c"],
    ["foreign subprotocol carries none", { subprotocols: ["foo", "a"], query: "b" }, "b"],
  ])("%s", (_name, given, expected) => {
    expect(readCredential({ ...places, ...given })).toBe(expected);
  });
});

describe("authorize", () => {
  it.each([
    ["missing", "missing_api_key"],
    ["invalid", "invalid_api_key"],
    ["expired", "expired_token"],
    ["unavailable", "overloaded"],
  ] as const)("%s → %s", (code, error) => {
    expect(authorize({ ok: false, code }, { origin: undefined, upgradeUrl: "" })?.code).toBe(error);
  });

  it("asks for an upgrade of the plan before anything else about the key", () => {
    const refusal = ask({ plan: "free", scopes: [] });
    expect(refusal).toMatchObject({
      code: "plan_upgrade_required",
      fields: { currentPlan: "free", requiredPlan: "scale", feature: "signals_feed_read" },
    });
  });

  it("wants the scope", () => {
    expect(ask({ scopes: ["events:write"] })?.code).toBe("insufficient_scope");
  });

  it.each<[string, Partial<Credential>, string | undefined, string | undefined]>([
    ["no origin", {}, undefined, undefined],
    ["registered origin", {}, "https://shop.example", undefined],
    ["subdomain", {}, "https://a.shop.example:8443/x", undefined],
    ["foreign origin", {}, "https://evil.example", "origin_not_allowed"],
    ["opaque origin", {}, "null", "origin_not_allowed"],
    ["any domain", { domains: ["*"] }, "https://evil.example", undefined],
    ["opaque origin with any domain", { domains: ["*"] }, "null", undefined],
    ["the key's own domains win", { domains: ["ops.example"] }, "https://shop.example", "origin_not_allowed"],
    ["server keys are exempt", { keyType: "server" }, "https://evil.example", undefined],
    ["origin demanded", { sites: [site({ settings: { requireOrigin: true } })] }, undefined, "origin_not_allowed"],
    ["browser keys kept out", { sites: [site({ settings: { feed: { allowBrowserKeys: false } } })] }, undefined, "key_type_not_allowed"],
    [
      "server key with browser keys kept out",
      { keyType: "server", sites: [site({ settings: { feed: { allowBrowserKeys: false } } })] },
      undefined,
      undefined,
    ],
  ])("%s", (_name, given, origin, expected) => {
    expect(ask(given, origin)?.code).toBe(expected);
  });
});

it("hints at the upgrade with the published body and headers", () => {
  expect(checkUpgrade({ isUpgrade: false, version: undefined })).toMatchObject({
    code: "upgrade_required",
    message: "WebSocket upgrade required at /v1/signals/stream",
    headers: { Upgrade: "websocket", Connection: "Upgrade" },
  });
  expect(checkUpgrade({ isUpgrade: true, version: "8" })?.headers).toMatchObject({ "Sec-WebSocket-Version": "13" });
  expect(checkUpgrade({ isUpgrade: true, version: "13" })).toBeUndefined();
});

describe("options", () => {
  const read = (query: string, subprotocols: string[] = []) => readFeedOptions(new URLSearchParams(query), subprotocols, 1_000_000);
  const codeOf = (query: string, subprotocols?: string[]) => {
    const result = read(query, subprotocols);
    return result.ok ? undefined : result.refusal.code;
  };
  it("has defaults and ignores what it does not know", () => {
    expect(read("key=x&utm_source=y")).toEqual({
      ok: true,
      options: { filter: null, includes: [], dialect: 1, resume: { kind: "none" }, onGap: "continue" },
    });
  });
  it.each([
    ["foreign subprotocol", "", ["foo"], "invalid_request"],
    ["durable mode", "mode=durable", [], "invalid_request"],
    ["named subscription", "subscription=a", [], "invalid_request"],
    ["dialect", "dialect=3", [], "invalid_request"],
    ["onGap", "onGap=ignore", [], "invalid_request"],
    ["include", "include=everything", [], "invalid_request"],
    ["filter", "classes=nobody", [], "invalid_filter"],
    ["both", "cursor=c1_a&since=-5m", [], "invalid_request"],
    ["since", "since=yesterday", [], "invalid_request"],
  ])("refuses %s", (_name, query, subprotocols, code) => {
    expect(codeOf(query, subprotocols)).toBe(code);
  });
  it("reads since as time or age", () => {
    expect(parseSince("1713797640000", 0)).toBe(1_713_797_640_000);
    expect(parseSince("-15m", 1_000_000)).toBe(100_000);
    expect(parseSince("-2d", 1_000_000)).toBe(0);
    for (const bad of ["", "-", "-5", "15m", "1e3", "-5y"]) expect(parseSince(bad, 0)).toBeUndefined();
  });
});

it("judges a live socket by the registry's records", () => {
  const key = { scopes: ["signals:read"], revokedAt: null, expiresAt: null };
  expect(isAccessRevoked(key, { plan: "scale" }, 0)).toBe(false);
  expect(isAccessRevoked(undefined, undefined, 0)).toBe(false);
  expect(isAccessRevoked({ ...key, revokedAt: "2026-01-01T00:00:00Z" }, { plan: "scale" }, 0)).toBe(true);
  expect(isAccessRevoked({ ...key, scopes: [] }, { plan: "scale" }, 0)).toBe(true);
  expect(isAccessRevoked({ ...key, expiresAt: "1970-01-01T00:00:01Z" }, { plan: "scale" }, 1_000)).toBe(true);
  expect(isAccessRevoked(key, { plan: "builder" }, 0)).toBe(true);
  expect(isAccessRevoked(key, { plan: "builder", limits: { feedRead: true } }, 0)).toBe(false);
  expect(isAccessRevoked(null, { plan: "scale" }, 0)).toBe(true);
});
