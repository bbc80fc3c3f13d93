/**
 * Writes docs/configuration.md: the settings of every process from the schemas that parse them, and the few that are read before any schema.
 * `--check` fails on drift instead. Touches that one file. Tests: docs.test.ts.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { ProcessEnv } from "../../packages/runtime/src/process-config.ts";
import { AuthEnv } from "../../services/auth/src/config.ts";
import { EdgeEnv } from "../../services/edge/src/config.ts";
import { IngestEnv } from "../../services/ingest/src/config.ts";
import { IntelligenceEnv } from "../../services/intelligence/src/config.ts";
import { RoutingEnv } from "../../services/routing/src/config.ts";
import { ScoringEnv } from "../../services/scoring/src/config.ts";

const FILE = path.resolve(import.meta.dirname, "../../docs/configuration.md");

/** What the generator needs of a zod object. */
interface EnvSchema {
  shape: Readonly<Record<string, { safeParse(value: unknown): { success: boolean; data?: unknown } }>>;
  toJSONSchema(options: { io: "input"; unrepresentable: "any" }): { properties?: Record<string, unknown> };
}

interface Row {
  name: string;
  fallback: string;
  /** Allowed values, when they are not any text. */
  values: string;
  what: string;
}

const SECTIONS: readonly { title: string; about: string; schema: EnvSchema }[] = [
  {
    title: "Every service process",
    about: "`--per-service` and a cluster; the single process of `npm start` sets these itself.",
    schema: ProcessEnv,
  },
  { title: "auth", about: "", schema: AuthEnv },
  { title: "ingest", about: "", schema: IngestEnv },
  { title: "scoring", about: "", schema: ScoringEnv },
  { title: "edge", about: "", schema: EdgeEnv },
  { title: "routing", about: "", schema: RoutingEnv },
  { title: "intelligence", about: "", schema: IntelligenceEnv },
];

/** Read before any schema: by the launcher, the command line, the embedded servers and the tests. */
const EARLY: readonly { title: string; rows: readonly [name: string, fallback: string, what: string][] }[] = [
  {
    title: "npm start",
    rows: [
      ["BACKEND_HOST", "127.0.0.1", "Address of the public listener. Not loopback: needs TLS or `--allow-plain`"],
      ["BACKEND_PORT", "", "Port; `--port` wins, `PORT` and 7210 follow"],
      ["PORT", "", "Port, when `BACKEND_PORT` is not set"],
      ["TLS_CERT", "", "PEM file of the certificate; together with `TLS_KEY`"],
      ["TLS_KEY", "", "PEM file of the key"],
      ["ALLOW_PLAIN", "", "`true`: plain HTTP on an address that is not loopback, as `--allow-plain`"],
      ["NATS_URL", "", "Use this NATS instead of the embedded one"],
      ["DATABASE_URL", "", "Use this PostgreSQL instead of the embedded one"],
      ["VERBOSE", "", "Show the output of the dependency installation"],
    ],
  },
  {
    title: "Embedded servers",
    rows: [
      ["NATS_SERVER_BIN", "", "A nats-server binary to use, ≥ 2.12"],
      ["NATS_RELEASE_BASE", "", "Where releases of nats-server are downloaded from, when none is found"],
      ["HEADWATER_CACHE_DIR", "", "Downloaded and unpacked runtimes; default: `/var/cache/headwater` for root, else `~/.cache/headwater`"],
      ["XDG_CACHE_HOME", "", "Base of the cache when the above is not set"],
    ],
  },
  {
    title: "headwater command",
    rows: [
      ["HEADWATER_URL", "", "A system elsewhere; default: the local one on `--port`"],
      ["HEADWATER_ADMIN_TOKEN", "", "Its operator token"],
      ["NATS_URL", "", "Its NATS, for `status`, `tap`, `doctor`; with `NATS_USER` and `NATS_PASSWORD`"],
      ["HEADWATER_KEY", "", "API key of `headwater feed`"],
    ],
  },
  {
    title: "Tests",
    rows: [
      ["TEST_NATS_URL", "", "Use this NATS for integration tests"],
      ["TEST_DATABASE_URL", "", "Use this PostgreSQL for integration tests"],
      ["TEST_INFRA", "", "`containers`: start both in containers"],
      ["MODEL_SEED", "random", "Seed of the model tests; a failure prints it"],
      ["FAULT_SEED", "random", "Seed of a fault run; every run prints it"],
      ["FAULT_KILLS", "2", "Kills per kind"],
      ["FAULT_RATE", "2000", "Events per second during a fault run"],
    ],
  },
];

function rowsOf(schema: EnvSchema): Row[] {
  const properties = schema.toJSONSchema({ io: "input", unrepresentable: "any" }).properties ?? {};
  return Object.entries(schema.shape).map(([name, field]) => {
    // Descriptions and bounds are plain members of a JSON Schema property.
    const property = (properties[name] ?? {}) as { description?: string; enum?: unknown[]; minimum?: number; maximum?: number };
    if (property.description === undefined) throw new Error(`${name} has no description`);
    const absent = field.safeParse(undefined);
    return {
      name,
      fallback: absent.success ? show(absent.data) : "**required**",
      values: property.enum?.join(", ") ?? (property.minimum === undefined ? "" : `${show(property.minimum)} … ${show(property.maximum)}`),
      what: property.description,
    };
  });
}

function show(value: unknown): string {
  if (value === undefined || value === "" || (Array.isArray(value) && value.length === 0)) return "";
  return Array.isArray(value) ? value.join(",") : String(value);
}

const cells = (row: readonly string[]): string => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

export function renderConfiguration(): string {
  const lines = [
    "# Configuration",
    "",
    "<!-- Written by infra/checks/configuration.ts (npm run generate). Change the schema, not this file. -->",
    "",
    "Every setting is an environment variable, parsed once at start; all bad ones are named together and the process does not start.",
    "An empty value counts as absent. `npm start` also reads `.env.local` and `.env` (the environment wins, then `.env.local`) and hands every",
    "variable of the tables below on to its services.",
    "",
  ];
  for (const { title, rows } of EARLY) {
    lines.push(`## ${title}`, "", "| variable | default | meaning |", "|---|---|---|");
    for (const [name, fallback, what] of rows) lines.push(cells([`\`${name}\``, fallback, what]));
    lines.push("");
  }
  for (const { title, about, schema } of SECTIONS) {
    lines.push(`## ${title}`, "");
    if (about) lines.push(about, "");
    lines.push("| variable | default | values | meaning |", "|---|---|---|---|");
    for (const row of rowsOf(schema)) lines.push(cells([`\`${row.name}\``, row.fallback, row.values, row.what]));
    lines.push("");
  }
  return `${lines.join("\n").trimEnd()}\n`;
}

if (import.meta.main) {
  const text = renderConfiguration();
  if (!process.argv.includes("--check")) writeFileSync(FILE, text);
  else if (readFileSync(FILE, "utf8") !== text) {
    console.error("docs/configuration.md is not what the schemas say: npm run generate");
    process.exitCode = 1;
  }
}
