import { describe, expect, it } from "vitest";
import { CorruptSnapshot, decodeBody, encodeBody } from "./snapshot-store.ts";

const line = (key: string, n: number): string => JSON.stringify([key, { n }]);

describe("bodies", () => {
  it.each([0, 1, 3, 2_000])("come back as they were: %i keys", (count) => {
    const lines = Array.from({ length: count }, (_, i) => line(`schlüssel\u0000-${i}`, i));
    const body = encodeBody(lines);
    expect(decodeBody(body, "page 1", 7)).toEqual(lines.map((text) => JSON.parse(text)));
  });

  it("are compressed when large", () => {
    const lines = Array.from({ length: 2_000 }, (_, i) => line("k", i));
    expect(encodeBody(lines).body.length).toBeLessThan(lines.join("\n").length / 2);
  });

  it("say where they are broken", () => {
    const body = encodeBody([line("a", 1)]);
    const broken = { ...body, body: body.body.subarray(0, -1) };
    expect(() => decodeBody(broken, "page 1", 7)).toThrow(CorruptSnapshot);
    expect(() => decodeBody({ ...body, sha256: null }, "page 1", 7)).toThrow(/checksum/);
  });
});
