/** Health of each instance from the loopback admin listeners, where the run file tells them. Tests: health.test.ts, commands/system.int.test.ts. */
import { isObject } from "./run-file.ts";
import type { Target } from "./target.ts";

export interface InstanceHealth {
  status: "up" | "degraded" | "down";
  /** Names of failed checks. */
  problems: string[];
}

const TIMEOUT_MS = 1_000;

/** By instance; one that does not answer is `down`. Empty for a system elsewhere, also when another one runs here. */
export async function readHealth({ run, env }: Pick<Target, "run" | "env">): Promise<Map<string, InstanceHealth>> {
  const isElsewhere = Boolean(env["NATS_URL"]) && env["NATS_URL"] !== run?.natsUrl;
  const listeners = Object.entries((isElsewhere ? undefined : run?.adminPorts) ?? {});
  return new Map(await Promise.all(listeners.map(async ([instance, port]) => [instance, await ask(instance, port)] as const)));
}

async function ask(instance: string, port: number): Promise<InstanceHealth> {
  let reports: unknown;
  try {
    reports = await (await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(TIMEOUT_MS) })).json();
  } catch {
    return { status: "down", problems: ["admin listener"] };
  }
  // One process may run several services; instance ids are `<service>-<slot>`.
  const rows = (Array.isArray(reports) ? reports : []).filter(isObject);
  const mine = rows.find((row) => instance.startsWith(`${String(row["name"])}-`));
  if (!mine) return { status: "down", problems: ["no report"] };
  const checks = Object.entries(isObject(mine["checks"]) ? mine["checks"] : {});
  const problems = checks.filter(([, check]) => isObject(check) && check["ok"] === false).map(([name]) => name);
  const status = mine["status"] === "up" || mine["status"] === "degraded" ? mine["status"] : "down";
  return { status, problems };
}
