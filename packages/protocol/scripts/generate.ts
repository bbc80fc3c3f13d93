/**
 * Writes spec/ from the schemas and tables of this package: JSON Schemas, OpenAPI, AsyncAPI. `--check` writes nothing and fails on drift.
 * Run it by `npm run generate`; CI runs the check.
 */
import fs from "node:fs";
import path from "node:path";
import { asyncApi } from "./asyncapi.ts";
import { jsonSchemas } from "./json-schemas.ts";
import { openApi } from "./openapi.ts";

const folder = path.resolve(import.meta.dirname, "../spec");
const fileOf = (name: string): string => `${name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "-").toLowerCase()}.json`;

const files = new Map<string, unknown>([
  ...[...jsonSchemas("draft-2020-12", fileOf)].map(([name, schema]) => [path.join("json-schema", fileOf(name)), schema] as const),
  ["openapi.json", openApi()],
  ["asyncapi.json", asyncApi()],
]);
const wanted = new Map([...files].map(([name, value]) => [name, `${JSON.stringify(value, null, 2)}\n`]));
const present = fs.existsSync(folder)
  ? fs
      .readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".json"))
      .sort()
  : [];
const surplus = present.filter((name) => !wanted.has(name));
const stale = [...wanted].filter(([name, text]) => !present.includes(name) || fs.readFileSync(path.join(folder, name), "utf8") !== text);

if (process.argv.includes("--check")) {
  for (const [name] of stale) console.error(`packages/protocol/spec/${name} is not what the schemas say: run \`npm run generate\``);
  for (const name of surplus) console.error(`packages/protocol/spec/${name} has no schema any more: run \`npm run generate\``);
  process.exitCode = stale.length + surplus.length > 0 ? 1 : 0;
} else {
  for (const name of surplus) fs.rmSync(path.join(folder, name));
  for (const [name, text] of stale) {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  }
  console.log(`packages/protocol/spec: ${wanted.size} files, ${stale.length} written, ${surplus.length} removed`);
}
