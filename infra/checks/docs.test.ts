/** What a user can meet on the wire or set in the environment is in docs/, and what docs/ name exists. Reads the tree only. */
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { ACCOUNT_ERRORS } from "../../packages/protocol/src/api/account.ts";
import { MARKETPLACE_ERRORS } from "../../packages/protocol/src/api/marketplace.ts";
import { API_ERRORS } from "../../packages/protocol/src/api-errors.ts";
import { DROP_REASONS, ERRORS, EVENT_ERROR_CODES, FEED_CLOSE } from "../../packages/protocol/src/errors.ts";
import { FEED_STATUSES } from "../../packages/protocol/src/feed-log.ts";
import { FEED_INCLUDES } from "../../packages/protocol/src/labeled-event.ts";
import { ROUTES, routeOf } from "../../packages/protocol/src/routes.ts";
import { WEBSOCKET_SCOPES } from "../../packages/protocol/src/scopes.ts";
import { SOCKET_CLOSE, SOCKET_ERRORS, socketPayloads } from "../../packages/protocol/src/socket-frames.ts";
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
const pathOf = ({ path: route }: { path: string }): string => route.replace(/\/\*rest$/, "");
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
  it.each(ROUTES.filter((route) => route.envelope === "signals" && route.owner !== "auth").map(pathOf))("has route %s", (route) =>
    expect(text).toContain(route),
  );
});

describe("docs/feeds.md", () => {
  const text = read("docs/feeds.md");
  const table = rows(text);
  const errors = { ...API_ERRORS, ...ACCOUNT_ERRORS, ...MARKETPLACE_ERRORS };
  it.each(Object.values(errors))("has error $status $message", ({ status, message }) =>
    expect(table.some(([, first, second]) => first === String(status) && second?.includes(`\`${message}\``))).toBe(true),
  );
  it.each(Object.values(SOCKET_CLOSE))("has close code $code $reason", ({ code, reason }) =>
    expect(table.some(([, first, second]) => first === String(code) && second?.includes(`\`${reason}\``))).toBe(true),
  );
  it.each([...Object.values(SOCKET_ERRORS), ...FEED_STATUSES, ...WEBSOCKET_SCOPES])("has %s", (word) =>
    expect(text).toContain(`\`${word}\``),
  );
  it.each(Object.keys(socketPayloads))("has message %s", (type) =>
    expect(table.some(([, first]) => first?.includes(`\`${type}\``))).toBe(true),
  );
  it.each(["feed-data", "topic-data", "feed-status", "feed-deleted", "gap", "llm-intelligence", "llm-broadcast", "token-usage-update"])(
    "has push %s",
    (type) => expect(table.some(([, first]) => first?.includes(`\`${type}\``))).toBe(true),
  );
  const document = JSON.parse(read("packages/protocol/spec/openapi.json")) as { paths: Record<string, unknown> };
  const described = Object.keys(document.paths).filter((route) => routeOf(route)?.envelope === "api" && !route.startsWith("/api/llm/"));
  it.each(described)("has route %s", (route) => {
    // Routes that begin alike are listed together, later ones shortened.
    const name = route.replace(/\{(\w+)\}/g, ":$1");
    const short = name.replace(/^\/api\/\w+/, "…").replace(/^…\/categories/, "…/settings/categories");
    const withoutArea = name.replace(/^\/api/, "…");
    expect([name, short, withoutArea].some((form) => text.includes(form))).toBe(true);
  });

  const weaknesses = table.filter(([, first]) => /^W\d+$/.test(first ?? ""));
  it("says of each weakness of the original what keeps it away", () =>
    expect(weaknesses.map(([, first]) => first)).toEqual(Array.from({ length: 44 }, (_, i) => `W${i + 1}`)));
  const named = weaknesses.flatMap(([, w = "", , here = ""]) =>
    [...here.matchAll(/`([\w./-]+\.test\.ts)` "([^"]+)"/g)].map(([, file = "", name = ""]) => ({ w, file, name })),
  );
  it.each(named)("$w: $file has a test $name", ({ file, name }) => expect(read(file)).toContain(name));
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
