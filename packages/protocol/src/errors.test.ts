import { describe, expect, it } from "vitest";
import vectors from "../vectors/errors.json" with { type: "json" };
import { DROP_REASONS, ERRORS, EVENT_ERROR_CODES, FEED_CLOSE } from "./errors.ts";

describe("error codes", () => {
  it("keeps every promised status", () => {
    expect(Object.fromEntries(Object.entries(ERRORS).map(([code, { status }]) => [code, status]))).toEqual(vectors.http);
  });
  it("keeps every close code, and the reason is its name", () => {
    expect(Object.fromEntries(Object.entries(FEED_CLOSE).map(([name, { code }]) => [name, code]))).toEqual(vectors.close);
    for (const [name, { reason }] of Object.entries(FEED_CLOSE)) expect(reason).toBe(name);
  });
  it("keeps the codes inside a batch answer", () => {
    expect(EVENT_ERROR_CODES).toEqual(vectors.eventErrors);
    expect(DROP_REASONS).toEqual(vectors.dropReasons);
  });
  it("says something about each, without a final dot", () => {
    for (const [code, { message }] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(message).toMatch(/^[A-Z].*[^.]$/);
    }
  });
});
