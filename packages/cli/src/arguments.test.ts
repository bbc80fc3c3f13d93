import { describe, expect, it } from "vitest";
import { countOf, durationMs, listOf, oneOf, parse, portOf } from "./arguments.ts";
import { UsageError } from "./terminal.ts";

describe("parse", () => {
  const options = { tenant: { type: "string" }, follow: { type: "boolean" }, filter: { type: "string", multiple: true } } as const;
  it("reads options, positionals and the common ones", () => {
    const args = parse(["signals", "--tenant", "acme", "--follow", "--json", "--filter", "a=1", "--filter", "b=2"], options, {
      min: 1,
      max: 1,
    });
    expect(args.positionals).toEqual(["signals"]);
    expect([args.text("tenant"), args.flag("follow"), args.json, args.all("filter")]).toEqual(["acme", true, true, ["a=1", "b=2"]]);
  });
  it.each([
    ["an unknown option", ["--nope"]],
    ["a missing value", ["--tenant"]],
    ["too many positionals", ["a"]],
  ])("refuses %s", (_name, argv) => {
    expect(() => parse(argv, options)).toThrow(UsageError);
  });
  it("refuses a missing or empty required option", () => {
    expect(() => parse([], options).required("tenant")).toThrow("--tenant is required");
    expect(() => parse(["--tenant", ""], options).required("tenant")).toThrow(UsageError);
  });
});

describe("portOf", () => {
  it.each([
    ["7300", { BACKEND_PORT: "1", PORT: "2" }, 7300],
    [undefined, { BACKEND_PORT: "7301", PORT: "2" }, 7301],
    [undefined, { BACKEND_PORT: "", PORT: "7302" }, 7302],
    [undefined, {}, 7210],
  ])("option %s, environment %o → %d", (option, env, port) => {
    expect(portOf(option, env)).toBe(port);
  });
  it.each(["0", "65536", "x", "1e3", "-1"])("refuses %s", (text) => {
    expect(() => portOf(text, {})).toThrow(UsageError);
  });
});

it.each([
  ["500ms", 500],
  ["90s", 90_000],
  ["1.5h", 5_400_000],
  ["2d", 172_800_000],
])("durationMs(%s) = %d", (text, ms) => {
  expect(durationMs(text, "since")).toBe(ms);
});
it.each(["", "5", "m", "5 m", "-5m", "5w"])("durationMs refuses %j", (text) => {
  expect(() => durationMs(text, "since")).toThrow(UsageError);
});

it("reads lists, counts and choices", () => {
  expect(listOf(" a, ,b ,")).toEqual(["a", "b"]);
  expect(listOf(undefined)).toEqual([]);
  expect(countOf("12", "limit")).toBe(12);
  expect(() => countOf("0", "limit")).toThrow(UsageError);
  expect(oneOf("b", ["a", "b"], "x")).toBe("b");
  expect(() => oneOf("c", ["a", "b"], "x")).toThrow("--x c: one of a, b");
});
