import type { FeedSecrets } from "@headwater/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EMPTY_SECRETS, type FeedSettings } from "./feed-content.ts";
import { resolveSecrets, secretNamesIn } from "./secret-references.ts";

const SETTINGS: FeedSettings = {
  connectionType: "websocket",
  connectionMessages: [],
  reconnectionEnabled: true,
  enableTopicRouting: false,
};
const VALUES = new Map([
  ["A", "alpha"],
  ["_b1", "beta"],
  ["A1", "longer name"],
  ["MONEY", "$& $1 $$ $`"],
  ["NESTED", "${secret:A}"],
  ["N".repeat(64), "sixty-four"],
]);
const withHeader = (value: string): FeedSecrets => ({ ...EMPTY_SECRETS, headers: [{ key: "X", value }] });
const resolve = (secrets: FeedSecrets, values = VALUES) => resolveSecrets({ settings: SETTINGS, secrets }, values);
const resolved = (value: string, values = VALUES): string | undefined => {
  const answer = resolve(withHeader(value), values);
  return answer.ok ? answer.secrets.headers[0]?.value : answer.message;
};

describe("a value", () => {
  it.each([
    ["", ""],
    ["plain", "plain"],
    ["${secret:A}", "alpha"],
    ["Bearer ${secret:A}", "Bearer alpha"],
    ["${secret:A}:${secret:_b1}", "alpha:beta"],
    ["${secret:A}${secret:A}", "alphaalpha"],
    ["${secret:A1}", "longer name"],
    ["$${secret:A}}", "$alpha}"],
    ["${secret:${secret:A}}", "${secret:alpha}"],
    [`\${secret:${"N".repeat(64)}}`, "sixty-four"],
    // Taken as they are, whatever another language makes of them.
    ["${secret:MONEY}", "$& $1 $$ $`"],
    ["${secret:NESTED}", "${secret:A}"],
  ])("%s becomes %s", (text, becomes) => expect(resolved(text)).toBe(becomes));

  it.each([
    "${secret:}",
    "${secret:1A}",
    "${secret:A-B}",
    "${secret:A B}",
    "${secret: A}",
    "${secret:A }",
    "${secret:Ä}",
    "${secret:A",
    "$ {secret:A}",
    "{secret:A}",
    "$secret:A",
    "${Secret:A}",
    "${secret.A}",
    "${A}",
    "%{secret:A}",
    "${secret:A\n}",
    `\${secret:${"N".repeat(65)}}`,
  ])("%s is no reference", (text) => {
    expect(resolved(text)).toBe(text);
    expect(secretNamesIn(withHeader(text))).toEqual([]);
  });

  it.each(["B", "a", "A2", "constructor", "__proto__", "toString"])("naming %s is refused by that name", (name) => {
    expect(resolve(withHeader(`\${secret:A} \${secret:${name}}`))).toEqual({
      ok: false,
      code: "SECRET_UNKNOWN",
      message: `secret not found: ${name}`,
    });
  });
});

it("stands in values of headers, query parameters and request headers, nowhere else", () => {
  const reference = "${secret:A}";
  const secrets: FeedSecrets = {
    headers: [{ key: reference, value: `h ${reference}` }],
    queryParams: [
      { key: "q", value: reference },
      { key: "q", value: "${secret:_b1}" },
    ],
    httpConfig: {
      method: "POST",
      pollingInterval: 1_000,
      timeout: 1_000,
      requestHeaders: { [reference]: "${secret:A1}", "X-Plain": "plain" },
      requestBody: reference,
      emitDuplicates: false,
    },
    connectionMessage: reference,
  };
  const before = structuredClone(secrets);
  expect(secretNamesIn(secrets)).toEqual(["A", "_b1", "A1"]);
  expect(resolve(secrets)).toEqual({
    ok: true,
    secrets: {
      ...before,
      headers: [{ key: reference, value: "h alpha" }],
      queryParams: [
        { key: "q", value: "alpha" },
        { key: "q", value: "beta" },
      ],
      httpConfig: { ...before.httpConfig, requestHeaders: { [reference]: "longer name", "X-Plain": "plain" } },
    },
  });
  expect(secrets).toEqual(before);
});

describe("limits hold for what is resolved", () => {
  const long = new Map([["L", "x".repeat(4_096)]]);
  it("8,192 characters a value", () => {
    expect(resolved("${secret:L}${secret:L}", long)).toBe("x".repeat(8_192));
    expect(resolved("${secret:L}${secret:L}!", long)).toBe("invalid payload");
    const asMap = { ...EMPTY_SECRETS, httpConfig: { method: "GET", pollingInterval: 1, timeout: 1, emitDuplicates: false } };
    expect(resolve({ ...asMap, httpConfig: { ...asMap.httpConfig, requestHeaders: { a: "${secret:L}".repeat(3) } } }, long)).toMatchObject({
      code: "INVALID_PAYLOAD",
    });
  });
  it("512 KiB a feed, also when the bytes are more than the characters", () => {
    const headers = (n: number) => Array.from({ length: n }, (_, i) => ({ key: `h${i}`, value: "${secret:L}${secret:L}" }));
    expect(resolve({ ...EMPTY_SECRETS, headers: headers(60) }, long)).toMatchObject({ ok: true });
    expect(resolve({ ...EMPTY_SECRETS, headers: headers(70) }, long)).toMatchObject({ ok: false, message: "feed is too large" });
    const wide = new Map([["L", "€".repeat(1_365)]]);
    expect(resolve({ ...EMPTY_SECRETS, headers: headers(60) }, wide)).toMatchObject({ ok: true });
    expect(resolve({ ...EMPTY_SECRETS, headers: headers(70) }, wide)).toMatchObject({ ok: false, message: "feed is too large" });
  });
  it("before anything of that size is built", () => {
    const bomb = { ...EMPTY_SECRETS, headers: Array.from({ length: 100 }, (_, i) => ({ key: `h${i}`, value: "${secret:L}".repeat(744) })) };
    const before = process.memoryUsage().heapUsed;
    expect(resolve(bomb, long)).toMatchObject({ ok: false });
    // Built, these are 300 million characters.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000);
  });
});

/** Walks the text once, as a reader would. */
function byHand(text: string, values: ReadonlyMap<string, string>): string {
  const start = "${secret:";
  let out = "";
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("}", at);
    const name = text.startsWith(start, at) && end >= 0 ? text.slice(at + start.length, end) : "";
    const isName = name !== "" && name.length <= 64 && [...name].every((char, i) => (i === 0 ? /[A-Za-z_]/ : /\w/).test(char));
    out += isName ? values.get(name) : text[at];
    at = isName ? end + 1 : at + 1;
  }
  return out;
}

it("does what a reader would, whatever stands around a reference", () => {
  const piece = fc.constantFrom(
    "${secret:A}",
    "${secret:_b1}",
    "${secret:",
    "${",
    "secret:",
    "A",
    "}",
    "$",
    "{",
    ":",
    "é",
    " ",
    "\u{1f511}",
    "-",
  );
  const value = fc.string({ maxLength: 20 }).filter((text) => text !== "");
  let references = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), value, value, (pieces, a, b) => {
      const values = new Map([["A", a], ["_b1", b]]); // biome-ignore format: one map
      const text = pieces.join("");
      references += secretNamesIn(withHeader(text)).length;
      expect(resolved(text, values)).toBe(byHand(text, values));
    }),
    { numRuns: 500 },
  );
  expect(references).toBeGreaterThan(100);
});
