/** What a user can meet on the wire or set in the environment is in docs/, and what docs/ name exists. Reads the tree only. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { DROP_REASONS, ERRORS, EVENT_ERROR_CODES, FEED_CLOSE } from "../../packages/protocol/src/errors.ts";
import { FEED_INCLUDES } from "../../packages/protocol/src/labeled-event.ts";
import { ROUTES } from "../../packages/protocol/src/routes.ts";
import { streamSpecs } from "../../packages/protocol/src/streams.ts";
import { renderConfiguration } from "./configuration.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(path.join(ROOT, file), "utf8");
/** Cells of every table row. */
const rows = (text: string): string[][] =>
  text
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").map((cell) => cell.trim()));
const find = (...patterns: string[]): string[] =>
  globSync(patterns, { cwd: ROOT, exclude: (name) => /(^|\/)node_modules$/.test(name) }).toSorted();

describe("docs/signals.md", () => {
  const text = read("docs/signals.md");
  const table = rows(text);
  it.each(Object.entries(ERRORS))("has error %s with its status", (code, { status }) => {
    expect(table.some(([, first, second]) => first === String(status) && second?.includes(`\`${code}\``))).toBe(true);
  });
  it.each(Object.values(FEED_CLOSE))("has close code $code $reason", ({ code, reason }) => {
    expect(table.some(([, first, second]) => first?.includes(String(code)) && second?.includes(`\`${reason}\``))).toBe(true);
  });
  it.each(EVENT_ERROR_CODES)("has event error %s", (code) => expect(text).toContain(`\`${code}\``));
  it.each(DROP_REASONS)("has drop reason %s", (reason) => expect(text).toContain(`\`${reason}\``));
  it.each(FEED_INCLUDES)("has include=%s", (name) => expect(text).toMatch(new RegExp(`include=[a-z,]*\\b${name}\\b`)));
  it.each(ROUTES.filter((route) => route.owner !== "auth").map((route) => route.path.replace(/\/\*rest$/, "")))("has route %s", (route) =>
    expect(text).toContain(route),
  );
});

describe("docs/architecture.md", () => {
  const text = read("docs/architecture.md");
  const names = new Set(streamSpecs("laptop").map(({ name }) => name.replace(/_\d+$/, "_<lane>")));
  it.each([...names])("has stream %s", (name) => expect(text).toContain(`\`${name}\``));
});

describe("docs/configuration.md", () => {
  const text = read("docs/configuration.md");
  const documented = new Set([...text.matchAll(/^\| `([A-Z][A-Z0-9_]+)`/gm)].map(([, name]) => name ?? ""));
  const sources = find("packages/*/src/**/*.ts", "packages/*/scripts/*.mjs", "services/*/src/**/*.ts", "test/**/*.ts").map((file) => ({
    file,
    source: read(file),
  }));
  /** Set by npm, Node or the operating system, not by a user. */
  const given = new Set(["PATH", "HOME", "INIT_CWD", "CI", "NODE_COMPILE_CACHE"]);

  it("is what the schemas say (npm run generate)", () => expect(text).toBe(renderConfiguration()));

  it("has every variable that is read", () => {
    // A test may speak of any variable; what it reads itself is `process.env`.
    const readers = sources.flatMap(({ file, source }) => {
      const reads = file.endsWith(".test.ts") ? /\bprocess\.env(?:\.|\[")([A-Z][A-Z0-9_]+)\b/g : /\benv(?:\.|\[")([A-Z][A-Z0-9_]+)\b/g;
      return [...source.matchAll(reads)].map(([, name]) => name ?? "");
    });
    expect([...new Set(readers)].filter((name) => !documented.has(name) && !given.has(name))).toEqual([]);
  });

  it.each([...documented])("%s is read by something", (name) => {
    const uses = (pattern: RegExp): number => sources.reduce((sum, { source }) => sum + [...source.matchAll(pattern)].length, 0);
    // Read from the environment itself, or declared in a schema and then used.
    const isRead = uses(new RegExp(`\\benv(?:\\.|\\[")${name}\\b`, "g")) > 0 || uses(new RegExp(`\\b${name}\\b`, "g")) > 1;
    expect(isRead).toBe(true);
  });
});

describe("links and paths", () => {
  const pages = find("README.md", "docs/**/*.md", "packages/*/README.md", "services/*/README.md", "infra/**/*.md");

  it.each(pages)("%s links only to what exists", (page) => {
    const links = [...read(page).matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, link]) => link ?? "").filter((link) => !/^[a-z]+:/.test(link));
    expect(links.filter((link) => !existsSync(path.resolve(ROOT, path.dirname(page), link)))).toEqual([]);
  });

  it.each(pages)("%s names only files that exist", (page) => {
    const named = [...read(page).matchAll(/`((?:packages|services|test|docs|infra)\/[\w./-]*\.[a-z]+)`/g)].map(([, file]) => file ?? "");
    expect(named.filter((file) => !existsSync(path.join(ROOT, file)))).toEqual([]);
  });
});
