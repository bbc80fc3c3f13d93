/** `headwater tenants list|create|set-plan` through the operator API. Tests: system.int.test.ts. */
import { PLANS } from "@headwater/protocol";
import { listOf, oneOf, parse } from "../arguments.ts";
import { json, table } from "../output.ts";
import { createAdminClient } from "../system/admin-client.ts";
import { isObject } from "../system/run-file.ts";
import { findTarget } from "../system/target.ts";
import { type Terminal, UsageError } from "../terminal.ts";

export async function tenantsCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [verb, ...rest] = argv;
  switch (verb) {
    case "list":
      return await list(rest, terminal);
    case "create":
      return await create(rest, terminal);
    case "set-plan":
      return await setPlan(rest, terminal);
    default:
      throw new UsageError(verb === undefined ? "tenants: what to do?" : `tenants: unknown verb ${verb}`);
  }
}

async function list(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, {});
  const answer = await createAdminClient(findTarget(args.port, terminal)).call("GET", "/tenants");
  const rows = (Array.isArray(answer["tenants"]) ? answer["tenants"] : []).filter(isObject);
  await terminal.out(args.json ? json(answer) : tenantTable(rows));
  return 0;
}

async function create(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, { tenant: { type: "string" }, plan: { type: "string" }, name: { type: "string" }, domains: { type: "string" } });
  const [plan, name, domains] = [args.text("plan"), args.text("name"), args.text("domains")];
  const created = await createAdminClient(findTarget(args.port, terminal)).call("POST", "/tenants", {
    slug: args.required("tenant"),
    ...(plan === undefined ? {} : { plan: oneOf(plan, PLANS, "plan") }),
    ...(name === undefined ? {} : { name }),
    ...(domains === undefined ? {} : { domains: listOf(domains) }),
  });
  await terminal.out(args.json ? json(created) : tenantTable([created]));
  return 0;
}

async function setPlan(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(argv, { tenant: { type: "string" }, plan: { type: "string" } });
  const tenant = args.required("tenant");
  const body = { plan: oneOf(args.required("plan"), PLANS, "plan") };
  const changed = await createAdminClient(findTarget(args.port, terminal)).call("PUT", `/tenants/${encodeURIComponent(tenant)}/plan`, body);
  await terminal.out(args.json ? json(changed) : tenantTable([changed]));
  return 0;
}

function tenantTable(rows: readonly Record<string, unknown>[]): string {
  return table(rows, [
    { title: "TENANT", value: (row) => String(row["slug"]) },
    { title: "PLAN", value: (row) => String(row["plan"]) },
    { title: "NAME", value: (row) => String(row["name"]) },
    { title: "ID", value: (row) => String(row["id"]) },
    { title: "CREATED", value: (row) => String(row["createdAt"]) },
  ]);
}
