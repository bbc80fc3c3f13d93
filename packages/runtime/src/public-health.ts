/**
 * The answer of the public `GET /health`, made of the reports of the instances behind a listener. `services` names what a client depends on in
 * the words of the feeds contract; `instances` says who told it. Touches nothing. Tests: public-health.test.ts.
 */
import type { HealthAnswer } from "@headwater/protocol";
import type { HealthReport } from "./service.ts";

/** Reports by instance id: `auth-0`, or the bare name of a service that runs alone. */
export type InstanceHealth = Readonly<Record<string, HealthReport>>;

export interface SystemHealth extends HealthReport {
  instances: InstanceHealth;
}

/** `down` when a service has no instance that works, `degraded` when any instance is not up. */
export function systemHealth(instances: InstanceHealth): SystemHealth {
  const byService = Map.groupBy(Object.entries(instances), ([id]) => serviceOf(id));
  const isGone = [...byService.values()].some((group) => group.every(([, report]) => report.status === "down"));
  const isWhole = Object.values(instances).every((report) => report.status === "up");
  const checks = Object.fromEntries(
    Object.entries(instances).map(([id, report]) => [id, { ok: report.status !== "down", detail: report.status }]),
  );
  return { status: isGone ? "down" : isWhole ? "up" : "degraded", checks, instances };
}

/** A system that is `down` answers 503 with this body, any other 200. */
export function publicHealth(health: SystemHealth, nowMs: number): HealthAnswer {
  const reports = Object.values(health.instances);
  const of = (service: string): HealthReport[] =>
    Object.entries(health.instances).flatMap(([id, report]) => (serviceOf(id) === service ? [report] : []));
  const said = (name: string): boolean[] => reports.flatMap((report) => report.checks[name]?.ok ?? []);
  const [auth, intelligence] = [of("auth"), of("intelligence")];
  const works = (group: HealthReport[]): boolean => group.some((report) => report.status !== "down");
  return {
    status: health.status === "up" ? "ok" : "degraded",
    timestamp: new Date(nowMs).toISOString(),
    services: {
      ...(said("database").length > 0 ? { store: said("database").every(Boolean) ? "connected" : "disconnected" } : {}),
      ...(said("nats").length > 0 ? { nats: said("nats").every(Boolean) ? "connected" : "disconnected" } : {}),
      ...(intelligence.length > 0 ? { llm: works(intelligence) ? llmOf(intelligence) : "unavailable" } : {}),
      ...(auth.length > 0 ? { authentication: works(auth) ? "available" : "unavailable" } : {}),
    },
    instances: health.instances,
  };
}

/** Intelligence's own check `llm`: without one there is nobody to ask. */
function llmOf(reports: HealthReport[]): "available" | "not-configured" {
  return reports.some((report) => report.checks["llm"]?.ok === true) ? "available" : "not-configured";
}

function serviceOf(instance: string): string {
  return instance.replace(/-\d+$/, "");
}
