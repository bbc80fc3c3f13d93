import { expect, it } from "vitest";
import { newTotpSecret, totpStep } from "./totp.ts";

/** RFC 6238 appendix B, SHA-1: the secret is the text `12345678901234567890`; the last six of its eight digits. */
const SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

it.each([
  [59, "287082"],
  [1_111_111_109, "081804"],
  [1_111_111_111, "050471"],
  [1_234_567_890, "005924"],
  [2_000_000_000, "279037"],
  [20_000_000_000, "353130"],
])("at %d s the code is %s", (seconds, code) => expect(totpStep(SECRET, code, seconds * 1_000)).toBe(Math.floor(seconds / 30)));

it("takes one step to either side, and says which it was", () => {
  const at = 1_111_111_111;
  const step = Math.floor(at / 30);
  for (const [offset, expected] of [[-60, undefined], [-30, step], [0, step], [30, step], [60, undefined]] as const) {
    expect(totpStep(SECRET, "050471", (at + offset) * 1_000)).toBe(expected);
  } // biome-ignore format: one table
});

it.each(["", "05047", "0504711", "05047a", " 050471", "٠٥٠٤٧١"])("refuses %j", (code) => {
  expect(totpStep(SECRET, code, 1_111_111_111_000)).toBeUndefined();
});

it("makes secrets of 160 bits", () => {
  expect(newTotpSecret()).toMatch(/^[A-Z2-7]{32}$/);
  expect(new Set(Array.from({ length: 50 }, newTotpSecret)).size).toBe(50);
});
