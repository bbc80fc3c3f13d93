import fc from "fast-check";
import { expect, it } from "vitest";
import { cutPoints } from "./cut-points.ts";
import { Memory } from "./memory.ts";

const entry = (text: string) => ({ at: 1, question: text, answer: text });

it("keeps the last three, newest first", () => {
  const memory = new Memory();
  const key = { feedId: "f", topic: "t" };
  for (const text of ["a", "b", "c", "d"]) memory.remember(key, entry(text));
  expect(memory.recall(key).map(({ answer }) => answer)).toEqual(["d", "c", "b"]);
});

it("keeps apart feeds, topics, users and automatic analyses", () => {
  const keys = [
    { feedId: "f" },
    { feedId: "f", topic: "t" },
    { feedId: "f", topic: "t", userId: "u" },
    { feedId: "f", topic: "t", userId: "v" },
    { feedId: "f", userId: "u" },
    { feedId: "g", topic: "t", userId: "u" },
    { feedId: "f", topic: 't","u' },
    { feedId: "f", topic: "" },
  ];
  const memory = new Memory();
  keys.forEach((key, at) => memory.remember(key, entry(String(at))));
  keys.forEach((key, at) => expect(memory.recall(key).map(({ answer }) => answer)).toEqual([String(at)]));
});

it("clears a feed for everybody, or one topic of it", () => {
  const memory = new Memory();
  const keys = [{ feedId: "f", topic: "t" }, { feedId: "f", topic: "t", userId: "u" }, { feedId: "f" }, { feedId: "g" }];
  for (const key of keys) memory.remember(key, entry("x"));
  memory.clear("f", "t");
  expect(keys.map((key) => memory.recall(key).length)).toEqual([0, 0, 1, 1]);
  memory.clear("f");
  expect(keys.map((key) => memory.recall(key).length)).toEqual([0, 0, 0, 1]);
});

it("forgets the conversation nobody continued longest", () => {
  const memory = new Memory({ perKey: 3, keys: 2 });
  memory.remember({ feedId: "a" }, entry("1"));
  memory.remember({ feedId: "b" }, entry("1"));
  memory.remember({ feedId: "a" }, entry("2"));
  memory.remember({ feedId: "c" }, entry("1"));
  expect(memory.entries().map(({ key }) => key.feedId)).toEqual(["a", "c"]);
});

it("hands out copies", () => {
  const memory = new Memory();
  memory.remember({ feedId: "f" }, entry("x"));
  memory.recall({ feedId: "f" }).pop();
  expect(memory.recall({ feedId: "f" })).toHaveLength(1);
});

it("cuts answers at 200 code points, never inside a character", () => {
  const memory = new Memory();
  memory.remember({ feedId: "f" }, entry("😀".repeat(300)));
  expect(memory.recall({ feedId: "f" })[0]?.answer).toBe("😀".repeat(200));
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.nat(20), (text, points) => {
      expect(cutPoints(text, points)).toBe([...text].slice(0, points).join(""));
    }),
  );
});
