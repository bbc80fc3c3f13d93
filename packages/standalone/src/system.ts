/** The running system behind the public port, however its services are spread over processes. */
import type { HealthReport } from "@headwater/runtime";

export interface RunningSystem {
  /** Public URL without trailing slash. */
  url: string;
  port: number;
  /** Admin listeners by instance id. */
  adminPorts: Record<string, number>;
  health(): Promise<HealthReport & { services: Record<string, HealthReport> }>;
  /** Resolves when everything accepted so far left the pipeline. Only the single process can tell. */
  settled?(options?: { withinMs?: number }): Promise<void>;
  stop(): Promise<void>;
}

/** `down` when any service is down, `degraded` when any is degraded. */
export function aggregateHealth(services: Record<string, HealthReport>): HealthReport & { services: Record<string, HealthReport> } {
  const reports = Object.values(services);
  const status = reports.some((r) => r.status === "down") ? "down" : reports.some((r) => r.status === "degraded") ? "degraded" : "up";
  const checks = Object.fromEntries(
    Object.entries(services).map(([name, report]) => [name, { ok: report.status !== "down", detail: report.status }]),
  );
  return { status, checks, services };
}
