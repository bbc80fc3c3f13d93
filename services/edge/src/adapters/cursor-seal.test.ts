import { createCipheriv, createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, it } from "vitest";
import { SURFACE_CODES } from "../domain/cursor.ts";
import { aesCtr, createCursorSeal, hmacSha256 } from "./cursor-seal.ts";

const seal = createCursorSeal("s".repeat(32));
const cursor = { surface: SURFACE_CODES.signals, log: 7, next: 123_456_789, at: 3, count: 42 };

it("opens what it sealed, for the same tenant only", () => {
  const text = seal.seal("t1", cursor);
  expect(text).toMatch(/^c1_[A-Za-z0-9_-]+$/);
  expect(text.length).toBeLessThanOrEqual(64);
  expect(seal.open("t1", text, SURFACE_CODES.signals)).toEqual(cursor);
  expect(seal.open("t2", text, SURFACE_CODES.signals)).toBeUndefined();
  expect(createCursorSeal("x".repeat(32)).open("t1", text, SURFACE_CODES.signals)).toBeUndefined();
});

it("is deterministic, and neighbours look unrelated", () => {
  expect(seal.seal("t1", cursor)).toBe(seal.seal("t1", cursor));
  expect(seal.seal("t1", { ...cursor, at: 4 }).slice(3, 12)).not.toBe(seal.seal("t1", cursor).slice(3, 12));
});

it("no changed, cut or foreign text opens", () => {
  const text = seal.seal("t1", cursor);
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  // Every other character at every place, the last one's unused bits included.
  for (let i = 3; i < text.length; i++) {
    for (const char of alphabet.replace(text.charAt(i), "")) {
      expect(seal.open("t1", text.slice(0, i) + char + text.slice(i + 1), SURFACE_CODES.signals)).toBeUndefined();
    }
  }
  fc.assert(
    fc.property(fc.string(), (any) => {
      expect(seal.open("t1", any, SURFACE_CODES.signals)).toBeUndefined();
    }),
  );
  expect(seal.open("t1", text.slice(0, -1), SURFACE_CODES.signals)).toBeUndefined();
});

it("its HMAC and its counter mode are the standard ones", () => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(key, fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 12, maxLength: 12 }), (k, message, iv) => {
      expect(hmacSha256(k)(message)).toEqual(createHmac("sha256", k).update(message).digest());
      const standard = createCipheriv("aes-256-ctr", k, Buffer.concat([iv, Buffer.alloc(4)]));
      expect(aesCtr(k)(iv, message)).toEqual(standard.update(message));
    }),
  );
});
