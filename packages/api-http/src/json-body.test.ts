import { Readable } from "node:stream";
import type { Request, Response } from "express";
import { describe, expect, it } from "vitest";
import { bodyTextOf, jsonBody, parseObject } from "./json-body.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("JSON bodies", () => {
  it("are one object", () => {
    expect(parseObject(bytes(' {"a":[1,{"b":"}]"}]}\n'))).toEqual({ a: [1, { b: "}]" }] });
    expect(parseObject(bytes(""))).toEqual({});
    for (const bad of ["null", "[]", "1", '"x"', "{", "{}{}", "undefined", "{'a':1}", '{"a":1,}', "\u0000"])
      expect(() => parseObject(bytes(bad)), bad).toThrow("invalid payload");
  });

  it("are UTF-8", () => {
    expect(() => parseObject(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toThrow("invalid payload");
  });

  it("may begin with a byte order mark, which is in neither the object nor the text", async () => {
    const text = '{"a":1.50}';
    // What jsonBody uses of a request.
    const req = Object.assign(Readable.from([Buffer.from(`\ufeff${text}`)]), { headers: {} }) as unknown as Request;
    await new Promise((resolve) => void jsonBody(req, {} as Response, resolve));
    expect([req.body, bodyTextOf(req)]).toEqual([{ a: 1.5 }, text]);
    expect(() => parseObject(bytes(`\ufeff\ufeff${text}`))).toThrow("invalid payload");
  });

  it("are nested at most 64 deep; brackets in strings do not count", () => {
    const nested = (depth: number) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
    expect(parseObject(bytes(nested(64)))).toHaveProperty("a");
    expect(() => parseObject(bytes(nested(65)))).toThrow("invalid payload");
    expect(() => parseObject(bytes(`{"a":${"[".repeat(1_000_000)}`))).toThrow("invalid payload");
    expect(parseObject(bytes(JSON.stringify({ a: `\\"${"[{".repeat(100)}` })))).toHaveProperty("a");
  });
});
