import { expect, it } from "vitest";
import { isDatabaseAway, violatedIndex } from "./database-errors.ts";

const coded = (code: string, more: object = {}): Error => Object.assign(new Error("x"), { code, ...more });

it("tells a database that is away from one that refuses", () => {
  for (const code of ["ECONNREFUSED", "ECONNRESET", "EPIPE", "57P01", "57P03", "08006"]) expect(isDatabaseAway(coded(code))).toBe(true);
  expect(isDatabaseAway(new Error("wrapped", { cause: coded("57P01") }))).toBe(true);
  expect(isDatabaseAway(new Error("timeout exceeded when trying to connect"))).toBe(true);
  for (const error of [coded("23505"), coded("42P01"), "ECONNREFUSED", undefined]) expect(isDatabaseAway(error)).toBe(false);
});

it("names the index that refused a row", () => {
  expect(violatedIndex(new Error("wrapped", { cause: coded("23505", { constraint: "one" }) }))).toBe("one");
  expect(violatedIndex(coded("23503", { constraint: "one" }))).toBeUndefined();
});
