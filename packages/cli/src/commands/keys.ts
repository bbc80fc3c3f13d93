/** `headwater keys create|list|revoke`: API keys through the operator API. Tests: system.int.test.ts. */
import { createHash } from "node:crypto";
import { KEY_FORMATS, KEY_TYPES, keyPrefixOf, PLANS, SCOPES } from "@headwater/protocol";
import { durationMs, listOf, oneOf, parse } from "../arguments.ts";
import { json, table } from "../output.ts";
import { createAdminClient } from "../system/admin-client.ts";
import { isObject } from "../system/run-file.ts";
import { findTarget } from "../system/target.ts";
import { type Terminal, UsageError } from "../terminal.ts";

export async function keysCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [verb, ...rest] = argv;
  switch (verb) {
    case "create":
      return await create(rest, terminal);
    case "list":
      return await list(rest, terminal);
    case "revoke":
      return await revoke(rest, terminal);
    default:
      throw new UsageError(verb === undefined ? "keys: what to do?" : `keys: unknown verb ${verb}`);
  }
}

async function create(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, {
    tenant: { type: "string" },
    plan: { type: "string" },
    scopes: { type: "string" },
    type: { type: "string" },
    prefix: { type: "string" },
    domains: { type: "string" },
    name: { type: "string" },
    expires: { type: "string" },
  });
  const [plan, type, prefix, name, expires] = [
    args.text("plan"),
    args.text("type"),
    args.text("prefix"),
    args.text("name"),
    args.text("expires"),
  ];
  const body = {
    tenant: args.required("tenant"),
    scopes: listOf(args.required("scopes")).map((scope) => oneOf(scope, SCOPES, "scopes")),
    ...(plan === undefined ? {} : { plan: oneOf(plan, PLANS, "plan") }),
    ...(type === undefined ? {} : { type: oneOf(type, KEY_TYPES, "type") }),
    ...(prefix === undefined ? {} : { prefix: prefixOf(prefix) }),
    ...(args.text("domains") === undefined ? {} : { domains: listOf(args.text("domains")) }),
    ...(name === undefined ? {} : { name }),
    ...(expires === undefined ? {} : { expiresAt: expiryOf(expires, Date.now()) }),
  };
  const created = await createAdminClient(findTarget(args.port, terminal)).call("POST", "/keys", body);
  if (args.json) await terminal.out(json(created));
  else {
    await terminal.out(`${keyTable([created])}\nkey  ${String(created["key"])}\n`);
    terminal.err("The key is shown only now.\n");
  }
  return 0;
}

async function list(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, { tenant: { type: "string" } });
  const tenant = args.required("tenant");
  const answer = await createAdminClient(findTarget(args.port, terminal)).call("GET", `/keys?tenant=${encodeURIComponent(tenant)}`);
  const rows = (Array.isArray(answer["keys"]) ? answer["keys"] : []).filter(isObject);
  await terminal.out(args.json ? json(answer) : keyTable(rows));
  return 0;
}

async function revoke(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, { key: { type: "string" } });
  const given = args.required("key");
  // A key does not belong into a URL: its digest names it as well.
  const name = keyPrefixOf(given) === undefined ? given : createHash("sha256").update(given).digest("hex");
  const revoked = await createAdminClient(findTarget(args.port, terminal)).call("DELETE", `/keys/${encodeURIComponent(name)}`);
  await terminal.out(args.json ? json(revoked) : `revoked ${String(revoked["id"])} at ${String(revoked["revokedAt"])}\n`);
  return 0;
}

function keyTable(rows: readonly Record<string, unknown>[]): string {
  return table(rows, [
    { title: "ID", value: (row) => String(row["id"]) },
    { title: "KEY", value: (row) => String(row["hint"]) },
    { title: "NAME", value: (row) => String(row["name"]) },
    { title: "TYPE", value: (row) => String(row["type"]) },
    { title: "SCOPES", value: (row) => items(row["scopes"]) },
    { title: "DOMAINS", value: (row) => items(row["domains"]) || "(sites)" },
    { title: "STATE", value: (row) => stateOf(row, Date.now()) },
    { title: "CREATED", value: (row) => String(row["createdAt"]) },
    { title: "LAST USED", value: (row) => (typeof row["lastUsedAt"] === "string" ? row["lastUsedAt"] : "-") },
  ]);
}

function stateOf(row: Record<string, unknown>, nowMs: number): string {
  if (typeof row["revokedAt"] === "string") return `revoked ${row["revokedAt"]}`;
  if (typeof row["expiresAt"] !== "string") return "active";
  return Date.parse(row["expiresAt"]) <= nowMs ? `expired ${row["expiresAt"]}` : `until ${row["expiresAt"]}`;
}

function items(value: unknown): string {
  return Array.isArray(value) ? value.join(",") : "";
}

/** `cs_live` and `cs_live_` mean the same. */
function prefixOf(text: string): string {
  const wanted = text.endsWith("_") ? text : `${text}_`;
  if (KEY_FORMATS.some((format) => format.prefix === wanted)) return wanted;
  throw new UsageError(`--prefix ${text}: one of ${KEY_FORMATS.map((format) => format.prefix.slice(0, -1)).join(", ")}`);
}

function expiryOf(text: string, nowMs: number): string {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const at = Date.parse(text);
    if (Number.isNaN(at)) throw new UsageError(`--expires ${text} is not a time`);
    return new Date(at).toISOString();
  }
  return new Date(nowMs + durationMs(text, "expires")).toISOString();
}
