import { describe, expect, it } from "vitest";
import { addressBytes, inRanges, parseRange } from "./address.ts";
import { readBatch } from "./body.ts";
import { visitorCookie, visitorOfCookies } from "./cookies.ts";
import { keptProperties } from "./custom-properties.ts";
import { edgeFacts } from "./edge-facts.ts";
import { keptIdentity } from "./identity.ts";
import { isDeeperThan } from "./json-depth.ts";
import { serverSessionId } from "./session-id.ts";
import { clip } from "./text.ts";
import { newBucket, take } from "./token-bucket.ts";

describe("cookies", () => {
  it("renews the visitor cookie for a year", () => {
    expect(visitorCookie("vis_abc-_1", true)).toBe("_cs_uid=vis_abc-_1; Path=/; Max-Age=31536000; SameSite=Lax; Secure");
    expect(visitorCookie("vis_abc", false)).toBe("_cs_uid=vis_abc; Path=/; Max-Age=31536000; SameSite=Lax");
  });
  it.each(["user-7", "vis_", "vis_a;b", "vis_a\r\nSet-Cookie: x=1", "vis_é"])("never sets %j", (id) => {
    expect(visitorCookie(id, true)).toBeUndefined();
  });
  it.each([
    [undefined, undefined],
    ["_cs_uid=vis_a1; x=y", "vis_a1"],
    ["_cs_uid=cs_profile; _cs_vid=vis_b2", "vis_b2"],
    ["_cs_vid=vis_b2; _cs_uid=vis_a1", "vis_a1"],
    ["_cs_uid=cs_profile", undefined],
    [";;=;x", undefined],
  ])("reads %j", (header, id) => {
    expect(visitorOfCookies(header)).toBe(id);
  });
});

describe("server sessions", () => {
  const start = 1_800_000 * 900_000;
  it("keeps one id for half an hour of one visitor", () => {
    expect(serverSessionId("u1", start)).toMatch(/^sess_srv_[0-9a-f]{16}$/);
    expect(serverSessionId("u1", start + 1_799_999)).toBe(serverSessionId("u1", start));
    expect(serverSessionId("u1", start + 1_800_000)).not.toBe(serverSessionId("u1", start));
    expect(serverSessionId("u2", start)).not.toBe(serverSessionId("u1", start));
  });
});

describe("token bucket", () => {
  it("grants twice the rate at once, then the rate", () => {
    const bucket = newBucket(100, 0);
    expect(take(bucket, 100, 200, 0)).toMatchObject({ ok: true, remaining: 0, fullInMs: 2_000 });
    expect(take(bucket, 100, 50, 0)).toMatchObject({ ok: false, remaining: 0, retryInMs: 500 });
    expect(take(bucket, 100, 50, 499)).toMatchObject({ ok: false });
    expect(take(bucket, 100, 50, 500)).toMatchObject({ ok: true, remaining: 0 });
    expect(take(bucket, 100, 1, 60_000)).toMatchObject({ ok: true, remaining: 199 });
  });
  it("does not mind a clock that goes back", () => {
    const bucket = newBucket(10, 1_000);
    expect(take(bucket, 10, 5, 0)).toMatchObject({ ok: true, remaining: 15 });
  });
});

describe("json depth", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  it.each([
    ['{"a":[1]}', 2, false],
    ['{"a":[1]}', 1, true],
    ['"[[[["', 0, false],
    ['["\\"[[[["]', 1, false],
    ['["\\\\",[1]]', 1, true],
    ['"open', 0, false],
    ["[".repeat(100_000), 32, true],
  ])("%s over %d: %s", (text, limit, deeper) => {
    expect(isDeeperThan(bytes(text), limit)).toBe(deeper);
  });
});

describe("addresses", () => {
  it.each([
    ["10.1.2.3", ["10.0.0.0/8"], true],
    ["11.1.2.3", ["10.0.0.0/8"], false],
    ["::ffff:10.1.2.3", ["10.0.0.0/8"], true],
    ["10.1.2.3", ["10.1.2.3"], true],
    ["10.1.2.130", ["10.1.2.128/25"], true],
    ["10.1.2.127", ["10.1.2.128/25"], false],
    ["2001:db8::7", ["2001:db8::/32"], true],
    ["2001:db9::7", ["2001:db8::/32"], false],
    ["fe80::1%eth0", ["fe80::/10"], true],
    ["1.2.3.4", ["0.0.0.0/0"], true],
    ["::1", ["0.0.0.0/0"], false],
    ["not an address", ["0.0.0.0/0"], false],
  ])("%s in %j: %s", (address, ranges, inside) => {
    expect(inRanges(address, ranges.map(parseRange))).toBe(inside);
  });
  it("knows no trusted proxy by default", () => {
    expect(inRanges("127.0.0.1", [])).toBe(false);
  });
  it.each(["1.2.3", "1.2.3.256", "::1::", "10.0.0.0/33", "x/8", "10.0.0.0/", ":1"])("refuses the range %s", (text) => {
    expect(() => parseRange(text)).toThrow(RangeError);
  });
  it("spells one address in one way", () => {
    expect(addressBytes("2001:DB8:0:0::1")).toStrictEqual(addressBytes("2001:db8::0:1"));
  });
});

describe("batch body", () => {
  it.each<[unknown, string]>([
    [null, "invalid_request"],
    [[], "invalid_request"],
    ["x", "invalid_request"],
    [{}, "invalid_request"],
    [{ events: {} }, "invalid_request"],
    [{ events: [] }, "invalid_request"],
    [{ events: [1], sentAt: "1" }, "invalid_request"],
    [{ events: Array.from({ length: 101 }, () => 1) }, "payload_too_large"],
    [JSON.parse('{"__proto__":{"events":[1]}}'), "invalid_request"],
  ])("refuses %j", (body, code) => {
    expect(readBatch(body)).toMatchObject({ ok: false, code });
  });
  it("takes 1 to 100 events and the send time", () => {
    expect(readBatch({ events: [1], sentAt: 5 })).toStrictEqual({ ok: true, events: [1], sentAt: 5 });
    expect(readBatch({ events: Array.from({ length: 100 }, () => 1) })).toMatchObject({ ok: true, sentAt: undefined });
  });
});

describe("identity", () => {
  const hem = "a".repeat(64);
  const sha256 = (text: string) => `sha(${text})`;
  const given = { hem, hemMd5: "B".repeat(32), customerId: "c-7", gclid: "g1", utm_source: "news", other: "x", rawEmail: "J@x.com" };
  it("keeps hashed ids with identity consent, click ids with marketing consent", () => {
    expect(keptIdentity(given, { identity: true, marketing: false, sha256 })).toStrictEqual({
      hem,
      hemMd5: "b".repeat(32),
      customerId: "c-7",
    });
    expect(keptIdentity(given, { identity: false, marketing: true, sha256 })).toStrictEqual({ gclid: "g1", utm_source: "news" });
    expect(keptIdentity(given, { identity: false, marketing: false, sha256 })).toBeUndefined();
  });
  it("hashes raw values and drops them", () => {
    const kept = keptIdentity({ rawEmail: " Jane@X.com ", rawPhone: "+1 (555) 010-9999" }, { identity: true, marketing: true, sha256 });
    expect(kept).toStrictEqual({ hem: "sha(jane@x.com)", hashedPhone: "sha(+15550109999)" });
  });
  it("refuses what is not a hash and scrubs an address used as customer id", () => {
    const kept = keptIdentity({ hem: "jane@x.com", customerId: "jane@x.com", accountId: 12 }, { identity: true, marketing: false, sha256 });
    expect(kept).toStrictEqual({ customerId: "[email]", accountId: "12" });
  });
  it("reads own members only", () => {
    expect(keptIdentity(JSON.parse(`{"__proto__":{"hem":"${hem}"}}`), { identity: true, marketing: true, sha256 })).toBeUndefined();
  });
});

describe("custom properties", () => {
  it("keeps flat, scrubbed, harmless values", () => {
    const given = JSON.parse(
      '{"a":1,"b":"mail j@x.com","c":true,"d":null,"e":{"x":1},"f":[1],"cvv":"123","card_number":"4","__proto__":{"polluted":1},"constructor":"x","\\ud800k":"\\ud800"}',
    );
    const kept = keptProperties(given, "standard");
    expect(kept).toStrictEqual({ a: 1, b: "mail [email]", c: true, d: null, "\ufffdk": "\ufffd" });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
  it("stops at 2 KiB", () => {
    const given = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, "word ".repeat(20)]));
    const size = JSON.stringify(keptProperties(given, "standard")).length;
    expect(size).toBeLessThanOrEqual(2_048);
    expect(size).toBeGreaterThan(1_800);
    expect(keptProperties({ e: {} }, "standard")).toBeUndefined();
  });
});

describe("edge facts", () => {
  const facts = (headers: Record<string, string>) => edgeFacts((name) => headers[name]);
  it("reads what a trusted proxy says", () => {
    expect(
      facts({
        "x-edge-bot-score": "5",
        "x-edge-verified-bot": "true",
        "x-edge-asn": "AS16509",
        "x-edge-asn-org": "Amazon.com, Inc.",
        "x-edge-country": "de",
        "x-edge-ja4": "t13d1516h2_8daaf6152771_e5627efa2ab1",
      }),
    ).toStrictEqual({
      botScore: 5,
      verifiedBot: true,
      asn: 16509,
      asnOrg: "Amazon.com, Inc.",
      hosting: true,
      country: "DE",
      ja4: "t13d1516h2_8daaf6152771_e5627efa2ab1",
    });
    expect(facts({ "x-edge-asn": "3320", "x-edge-asn-org": "Deutsche Telekom AG" })).toMatchObject({ hosting: false });
    expect(facts({ "x-edge-asn-org": "Example Hosting GmbH" })).toStrictEqual({ asnOrg: "Example Hosting GmbH", hosting: true });
  });
  it("ignores nonsense", () => {
    expect(facts({})).toBeUndefined();
    expect(facts({ "x-edge-bot-score": "100", "x-edge-country": "Germany", "x-edge-ja4": "<x>" })).toBeUndefined();
  });
});

it("clips without breaking a pair", () => {
  expect(clip("ab😀", 3)).toBe("ab");
  expect(clip("ab😀", 4)).toBe("ab😀");
  expect(clip("a\ud800b", 9)).toBe("a\ufffdb");
});
