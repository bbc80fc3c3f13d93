import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ConfigError, envFlag, envList, envNumber, parseEnv } from "./env.ts";

const Schema = z.object({
  PORT: envNumber(0, 65_535).default(7210),
  WANTED: envNumber(1, 10),
  FLAG: envFlag().default(false),
  LIST: envList().default([]),
  NAME: z.string().optional(),
});

function problemsOf(env: Record<string, string | undefined>): readonly string[] {
  try {
    parseEnv(Schema, env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe("parseEnv", () => {
  it("reads text as numbers, flags and lists", () => {
    expect(parseEnv(Schema, { PORT: "80", WANTED: "3", FLAG: "true", LIST: " a, b ,,c ", NAME: "x" })).toEqual({
      PORT: 80,
      WANTED: 3,
      FLAG: true,
      LIST: ["a", "b", "c"],
      NAME: "x",
    });
  });
  it("takes an empty string for absent, not for zero or false", () => {
    expect(parseEnv(Schema, { PORT: "", WANTED: "3", FLAG: "", LIST: "", NAME: "" })).toEqual({
      PORT: 7210,
      WANTED: 3,
      FLAG: false,
      LIST: [],
    });
    expect(problemsOf({ WANTED: "" })).toHaveLength(1);
  });
  it.each(["false", "0", "no", "off"])("%s is false", (text) => {
    expect(parseEnv(Schema, { WANTED: "1", FLAG: text }).FLAG).toBe(false);
  });
  it("names every bad key at once", () => {
    const problems = problemsOf({ PORT: "70000", WANTED: "abc", FLAG: "perhaps" });
    expect(problems.map((problem) => problem.split(":")[0])).toEqual(["PORT", "WANTED", "FLAG"]);
  });
  it.each(["1.5", "0", "11", "1e", "0x"])("WANTED=%s is refused", (text) => expect(problemsOf({ WANTED: text })).toHaveLength(1));
  it("ignores variables that are not its own", () => {
    expect(parseEnv(Schema, { WANTED: "1", HOME: "/root" })).not.toHaveProperty("HOME");
  });
});
