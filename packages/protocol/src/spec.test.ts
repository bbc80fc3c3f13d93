/** The committed spec/ is what the schemas say (`generate --check` in `npm run check`); here: it hangs together. */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { COLLECTOR_TYPES, ERRORS, FEED_CLOSE, ROUTES } from "./index.ts";

const folder = path.resolve(import.meta.dirname, "../spec");
const read = (name: string): string => fs.readFileSync(path.join(folder, name), "utf8");
const schemas = fs.readdirSync(path.join(folder, "json-schema"));
const openApi = read("openapi.json");
const asyncApi = read("asyncapi.json");

describe("generated specifications", () => {
  it("has a schema file behind every reference between schema files", () => {
    for (const name of schemas) {
      for (const [, target] of read(`json-schema/${name}`).matchAll(/"\$ref": "([^"#]+)/g)) expect(schemas, name).toContain(target);
    }
  });
  it.each([
    ["openapi.json", openApi],
    ["asyncapi.json", asyncApi],
  ])("%s refers only to schemas it holds", (_name, text) => {
    const document: { components: { schemas: Record<string, unknown> } } = JSON.parse(text);
    const held = Object.keys(document.components.schemas);
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) expect(held).toContain(name);
  });
  it("describes every public route", () => {
    const document: { paths: Record<string, unknown> } = JSON.parse(openApi);
    for (const route of ROUTES.filter((r) => r.auth !== "admin" && r.envelope === "signals")) {
      const start = route.path.replace(/[:*].*$/, "");
      expect(
        Object.keys(document.paths).some((name) => name.startsWith(start)),
        route.path,
      ).toBe(true);
    }
  });
  it("names every type of event and every close code", () => {
    for (const type of COLLECTOR_TYPES) expect(openApi).toContain(`"const": "${type}"`);
    for (const { code, reason } of Object.values(FEED_CLOSE)) expect(asyncApi).toContain(`${code} ${reason}`);
  });
  it("promises no answer that nobody can give", () => {
    for (const [, code] of openApi.matchAll(/`([a-z_]+)`: /g)) expect(Object.keys(ERRORS)).toContain(code);
  });
});
