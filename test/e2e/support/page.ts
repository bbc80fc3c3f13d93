/** The documentation page's own examples (test/data/documentation-page): read, given this system's host, ids and keys, and run as printed. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { endWithParent, until } from "@headwater/testkit";
import { projectRoot } from "../../support/npm-start.ts";
import { isObject } from "./feeds-system.ts";

const folder = path.join(projectRoot, "test/data/documentation-page");
/** `ws` is found from here. */
const cwd = path.join(projectRoot, "test");

/** The text of an example with each `[from, to]` replaced. Throws when something to replace is not in it. */
export function example(file: string, ...changes: [from: string, to: string][]): string {
  let text = readFileSync(path.join(folder, file), "utf8");
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`no ${from} in ${file}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** An example as JSON; comments are left out. */
export function jsonExample(file: string, ...changes: [from: string, to: string][]): Record<string, unknown> {
  const value: unknown = JSON.parse(withoutComments(example(file, ...changes)));
  if (!isObject(value)) throw new Error(`${file} is no object`);
  return value;
}

/** Text of a message, in one line, as a provider sends it. */
export function messageExample(file: string, ...changes: [from: string, to: string][]): string {
  return JSON.stringify(JSON.parse(withoutComments(example(file, ...changes))));
}

export function withoutComments(text: string): string {
  return text.replace(/(^|\s)\/\/ .*$/gm, "");
}

/** What a shell example prints, as JSON. */
export async function runShell(text: string): Promise<Record<string, unknown>> {
  const out = await outputOf("sh", ["-c", text.replace("curl ", "curl -sS ")]);
  const value: unknown = JSON.parse(out);
  if (!isObject(value)) throw new Error(`${text}\n${out}`);
  return value;
}

/** Output of a JavaScript example that ends by itself. */
export function runModule(text: string): Promise<string> {
  return outputOf(process.execPath, ["--input-type=module", "-e", text]);
}

/** Never synchronous: the system may live in this process. */
async function outputOf(command: string, args: string[]): Promise<string> {
  const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let errors = "";
  child.stdout.on("data", (chunk) => (out += String(chunk)));
  child.stderr.on("data", (chunk) => (errors += String(chunk)));
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${args.join(" ")}\nended with ${code}: ${out}${errors}`);
  return out;
}

export interface RunningExample {
  output(): string;
  /** Frames it got so far, as text. */
  frames(): string[];
  /** Until the condition holds. */
  when(what: string, condition: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** A JavaScript example that stays connected. Its frames are seen by the side (frame-echo.cjs), the text runs as it is. */
export function runSocketExample(text: string): RunningExample {
  const child: ChildProcess = spawn(
    process.execPath,
    ["--require", path.join(import.meta.dirname, "frame-echo.cjs"), "--input-type=commonjs", "-e", text],
    { cwd, stdio: ["ignore", "pipe", "pipe"] },
  );
  endWithParent(child);
  let out = "";
  let errors = "";
  child.stdout?.on("data", (chunk) => (out += String(chunk)));
  child.stderr?.on("data", (chunk) => (errors += String(chunk)));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const frames = (): string[] =>
    errors
      .split("\n")
      .slice(0, -1)
      .filter((line) => line.startsWith("frame "))
      .map((line) => line.slice("frame ".length));
  return {
    output: () => out,
    frames,
    when: (what, condition) => {
      const check = (): boolean => {
        if (condition()) return true;
        if (child.exitCode !== null) throw new Error(`ended before: ${what}\n${out}${errors}`);
        return false;
      };
      return until(what, check, 20_000).catch((error: unknown) => {
        throw new Error(`${out}${errors}`, { cause: error });
      });
    },
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
