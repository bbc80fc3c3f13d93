/** Options shared by commands, and how their texts become values. Pure. Tests: arguments.test.ts. */
import { parseArgs, type ParseArgsConfig } from "node:util";
import type { Env } from "@headwater/runtime";
import { UsageError } from "./terminal.ts";

type OptionTable = NonNullable<ParseArgsConfig["options"]>;

/** Options every command understands. */
const COMMON = { json: { type: "boolean" }, port: { type: "string" } } as const satisfies OptionTable;

export interface Parsed {
  positionals: string[];
  json: boolean;
  port: string | undefined;
  /** The option's text, undefined when absent. */
  text(name: string): string | undefined;
  /** Every value of an option that may be repeated. */
  all(name: string): string[];
  flag(name: string): boolean;
  /** @throws UsageError when absent. */
  required(name: string): string;
}

/** @throws UsageError for unknown options, missing values and the wrong number of positionals. */
export function parse(
  argv: readonly string[],
  options: OptionTable,
  positionals: { min: number; max: number } = { min: 0, max: 0 },
): Parsed {
  let result: { values: Record<string, unknown>; positionals: string[] };
  try {
    result = parseArgs({ args: [...argv], options: { ...options, ...COMMON }, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  const { values } = result;
  if (result.positionals.length > positionals.max) throw new UsageError(`unexpected argument ${result.positionals[positionals.max]}`);
  if (result.positionals.length < positionals.min) throw new UsageError("an argument is missing");
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    positionals: result.positionals,
    json: values["json"] === true,
    port: text("port"),
    text,
    all: (name) => {
      const value = values[name];
      return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
    },
    flag: (name) => values[name] === true,
    required(name) {
      const value = text(name);
      if (value === undefined || value === "") throw new UsageError(`--${name} is required`);
      return value;
    },
  };
}

/** Port of the running system: `--port`, then BACKEND_PORT, then PORT, then 7210. */
export function portOf(option: string | undefined, env: Env): number {
  const text = option ?? (env["BACKEND_PORT"] || env["PORT"] || "7210");
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw new UsageError(`${text} is not a port`);
  return port;
}

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90s`, `5m`, `2h`, `1d` → ms. @throws UsageError */
export function durationMs(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  if (!match || unit === undefined) throw new UsageError(`--${option} ${text}: give a time like 30s, 5m, 2h or 1d`);
  return Number(match[1]) * unit;
}

/** `a,b , c` → the items, none empty. */
export function listOf(text: string | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

/** @throws UsageError */
export function countOf(text: string, option: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--${option} ${text}: give a number from 1`);
  return Number(text);
}

/** @throws UsageError naming what would have been allowed. */
export function oneOf<const T extends string>(text: string, allowed: readonly T[], option: string): T {
  const found = allowed.find((item) => item === text);
  if (found === undefined) throw new UsageError(`--${option} ${text}: one of ${allowed.join(", ")}`);
  return found;
}
