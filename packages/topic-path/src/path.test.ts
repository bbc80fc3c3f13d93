import fc from "fast-check";
import { describe, expect, it } from "vitest";
import vectors from "../vectors/paths.json" with { type: "json" };
import { parseDataPath, parseTopicField } from "./path.ts";

describe("topic fields", () => {
  it.each(vectors.valid)("reads $topicField", ({ topicField, steps }) => {
    expect(parseTopicField(topicField)).toEqual({ ok: true, path: { source: topicField.trim(), steps } });
    expect(parseDataPath(topicField)).toMatchObject({ ok: true, path: { steps } });
  });
  it.each(vectors.invalid)("refuses $topicField: $reason", ({ topicField, reason }) =>
    expect(parseTopicField(topicField)).toEqual({ ok: false, reason }),
  );
  it("refuses half a character", () => expect(parseTopicField("a\ud83d")).toEqual({ ok: false, reason: "not valid Unicode" }));
  it("takes what is just within the limits", () => {
    expect(parseTopicField("é".repeat(256)).ok).toBe(true);
    // Counted in characters: 256 of these are 512 code units.
    expect(parseTopicField("😀".repeat(256)).ok).toBe(true);
    expect(parseTopicField("😀".repeat(257)).ok).toBe(false);
    expect(parseTopicField("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p").ok).toBe(true);
    expect(parseTopicField(`a${"[0]".repeat(15)}`).ok).toBe(true);
  });
  // W3: `a]0[` ended the whole process of the system this contract comes from.
  it("answers every text, and what it accepts follows the grammar", () => {
    const name = String.raw`[^.\[\]\p{Cc}]+`;
    const index = String.raw`\[(?:-1|0|[1-9]\d{0,8})\]`;
    const step = `(?:${name}(?:${index})*|(?:${index})+)`;
    const grammar = new RegExp(String.raw`^${step}(?:\.${step})*$`, "u");
    const noise = fc.string({ unit: fc.constantFrom("a", "b", ".", "[", "]", "-", "0", "1", "9", " ", "\u0000", '"', "*", "é") });
    fc.assert(
      fc.property(noise, (text) => {
        const parsed = parseTopicField(text);
        const trimmed = text.trim();
        const short = [...trimmed.matchAll(/[^.[\]]+|\]/g)].length <= 16;
        if (short) expect(parsed.ok).toBe(grammar.test(trimmed));
        else if (parsed.ok) expect(grammar.test(trimmed)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
    fc.assert(fc.property(fc.anything(), (value) => typeof parseTopicField(value).ok === "boolean"));
  });
});

describe("data paths", () => {
  it.each(vectors.dataPathOnly)("reads %s", (path) => {
    expect(parseDataPath(path).ok).toBe(true);
    expect(parseTopicField(path).ok).toBe(false);
  });
  it.each(["a[-0]", "a[-01]", "a[-]", "a[--1]", "a[-1234567890]"])("refuses %s", (path) => expect(parseDataPath(path).ok).toBe(false));
});
