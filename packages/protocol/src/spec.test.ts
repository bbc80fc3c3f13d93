/** The committed spec/ is what the schemas say (`generate --check` in `npm run check`); here: it hangs together. */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import {
  ACCOUNT_ERRORS,
  API_ERRORS,
  MARKETPLACE_ERRORS,
  COLLECTOR_TYPES,
  ERRORS,
  FEED_CLOSE,
  LLM_ERRORS,
  type Route,
  ROUTES,
  routeOf,
} from "./index.ts";

interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { securitySchemes: Record<string, unknown> };
}
interface Operation {
  operationId: string;
  parameters?: { name: string; in: string }[];
  responses: Record<string, { description: string }>;
  security: Record<string, string[]>[];
}

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
  it("describes every public route, and nothing that is none", () => {
    const document: { paths: Record<string, unknown> } = JSON.parse(openApi);
    const paths = Object.keys(document.paths).map((name) => name.replaceAll(/\{(\w+)\}/g, ":$1"));
    // Files and answers to unknown paths are no operations.
    const described = ROUTES.filter((route) => route.auth !== "admin" && !["/api/*rest", "/docs/*rest"].includes(route.path));
    for (const route of described) expect(paths.some((name) => routeOf(name) === route), route.path).toBe(true); // biome-ignore format: one line
    for (const name of paths) expect(name === "/health" || described.includes(routeOf(name) as Route), name).toBe(true);
  });
  it("is a valid OpenAPI document in what tools rely on", () => {
    const document: Document = JSON.parse(openApi);
    const schemes = Object.keys(document.components.securitySchemes);
    const ids: string[] = [];
    for (const [name, item] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(item)) {
        const where = `${method} ${name}`;
        expect(["get", "post", "put", "patch", "delete"], where).toContain(method);
        ids.push(operation.operationId);
        const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === "path").map((parameter) => parameter.name);
        expect(inPath, where).toEqual([...name.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter));
        expect(
          Object.keys(operation.responses).every((status) => /^[1-5]\d\d$/.test(status)),
          where,
        ).toBe(true);
        expect(
          Object.values(operation.responses).every(({ description }) => description.length > 0),
          where,
        ).toBe(true);
        for (const scheme of operation.security.flatMap((one) => Object.keys(one))) expect(schemes, where).toContain(scheme);
      }
    }
    expect(new Set(ids).size).toBe(ids.length);
  });
  it("names every type of event and every close code", () => {
    for (const type of COLLECTOR_TYPES) expect(openApi).toContain(`"const": "${type}"`);
    for (const { code, reason } of Object.values(FEED_CLOSE)) expect(asyncApi).toContain(`${code} ${reason}`);
  });
  it("promises no answer that nobody can give", () => {
    for (const [, code] of openApi.matchAll(/`([a-z_]+)`: /g)) expect(Object.keys(ERRORS)).toContain(code);
    const document: Document = JSON.parse(openApi);
    const messages = { ...API_ERRORS, ...ACCOUNT_ERRORS, ...MARKETPLACE_ERRORS, ...LLM_ERRORS };
    for (const { responses } of Object.values(document.paths).flatMap((item) => Object.values(item))) {
      for (const [status, { description }] of Object.entries(responses)) {
        for (const [, code, message] of description.matchAll(/`([A-Z_]+)`: (.*?)(?=; `|$)/g)) {
          const known = Object.entries(messages).find(([name]) => name === code)?.[1];
          // Two places of the contract write the first letter differently, and streams say less about missing providers.
          const texts = code === "NO_PROVIDERS" ? [known?.message, "No LLM providers configured"] : [known?.message];
          if (known) expect(status, code).toBe(String(known.status));
          if (known) expect(texts.map((text) => text?.toLowerCase())).toContain(message?.toLowerCase());
        }
      }
    }
  });
});
