import { PLAN_LIMITS } from "@headwater/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { originAllowed } from "./origin.ts";
import { mayDo, maySee, owns, type SocketIdentity, type SocketOperation, type SocketState } from "./socket-access.ts";

const identity = (overrides: Partial<SocketIdentity> = {}): SocketState => ({
  kind: "authenticated",
  identity: {
    authType: "apikey",
    userId: "u",
    tenantId: "t",
    credentialId: "k",
    scopes: [],
    limits: PLAN_LIMITS.free,
    expiresAtMs: Number.POSITIVE_INFINITY,
    ...overrides,
  },
});
const OPERATIONS: SocketOperation[] = [
  "subscribe-feed",
  "subscribe-topic",
  "subscribe-llm",
  "subscribe-all",
  "ask",
  "toggle-auto-analysis",
];

describe("mayDo", () => {
  it.each<[string, SocketState, SocketOperation[]]>([
    ["anonymous", { kind: "anonymous" }, []],
    ["registered", { kind: "registered", label: "t" }, ["subscribe-feed", "subscribe-topic"]],
    ["a login", identity({ authType: "jwt", scopes: undefined }), OPERATIONS],
    ["a key without scopes", identity(), []],
    ["a key for another surface", identity({ scopes: ["signals:read", "events:write"] }), []],
    ["subscribe", identity({ scopes: ["websocket:subscribe"] }), ["subscribe-feed"]],
    ["topic", identity({ scopes: ["websocket:topic"] }), ["subscribe-topic"]],
    ["llm", identity({ scopes: ["websocket:llm"] }), ["subscribe-llm", "ask", "toggle-auto-analysis"]],
    ["everything", identity({ scopes: ["websocket:*"] }), OPERATIONS],
  ])("%s", (_name, state, allowed) => {
    expect(OPERATIONS.filter((operation) => mayDo(state, operation, "public"))).toEqual(allowed);
  });

  it("a registered socket may be given nothing", () => {
    expect(OPERATIONS.filter((operation) => mayDo({ kind: "registered", label: "x" }, operation, "none"))).toEqual([]);
  });
});

it("a private feed is seen by its owner only", () => {
  const states = [identity(), identity({ tenantId: "other" }), { kind: "registered", label: "t" }, { kind: "anonymous" }] as const;
  expect(states.map((state) => maySee(state, { isPublic: false, tenantId: "t" }))).toEqual([true, false, false, false]);
  expect(states.map((state) => maySee(state, { isPublic: true, tenantId: "t" }))).toEqual([true, true, true, true]);
  expect(states.map((state) => owns(state, { tenantId: "t" }))).toEqual([true, false, false, false]);
});

describe("originAllowed", () => {
  const ask = (origin: string | undefined, allowed: string[] = ["https://app.example"], scheme: "http" | "https" = "http") =>
    originAllowed({ origin, host: "127.0.0.1:7210", scheme }, allowed);
  it.each<[string | undefined, boolean]>([
    [undefined, true],
    ["http://127.0.0.1:7210", true],
    ["https://127.0.0.1:7210", false],
    ["http://127.0.0.1", false],
    ["http://localhost:7210", false],
    ["https://app.example", true],
    ["https://app.example:443", true],
    ["https://APP.example", true],
    ["http://app.example", false],
    ["https://app.example.evil", false],
    ["null", false],
    ["", false],
    ["*", false],
  ])("%s → %s", (origin, expected) => {
    expect(ask(origin)).toBe(expected);
  });
  it.each<[string, boolean]>([
    ["127.0.0.1:7210", true],
    ["192.168.1.5", true],
    ["[::1]:7210", true],
    ["localhost:7210", true],
    ["demo.localhost:7210", true],
    // A name of somebody else may lead to this address: that the page and the request agree on it proves nothing.
    ["rebound.example:7210", false],
    ["127.0.0.1.nip.example", false],
    ["localhost.example:7210", false],
    ["notlocalhost", false],
    ["", false],
  ])("its own page at %j → %s", (host, expected) => {
    const facts = { origin: `http://${host}`, host, scheme: "http" } as const;
    expect(originAllowed(facts, ["https://app.example"])).toBe(expected);
    expect(originAllowed(facts, [`http://${host}`])).toBe(host !== "");
  });
  it("any page, when it is asked for", () => {
    expect(ask("https://evil.example", ["*"])).toBe(true);
  });
  it("never lets another host in", () => {
    fc.assert(
      fc.property(fc.webUrl(), (url) => {
        const { host } = new URL(url);
        expect(ask(url)).toBe(host === "app.example" && url.startsWith("https:"));
      }),
    );
  });
});
