/** All six services in this process, on one port, each with its own NATS user, connection and pool. */
import { readFileSync } from "node:fs";
import { parseAuthConfig, startAuth } from "@headwater/auth";
import { parseEdgeConfig, startEdge } from "@headwater/edge";
import { parseIngestConfig, startIngest } from "@headwater/ingest";
import { parseIntelligenceConfig, startIntelligence } from "@headwater/intelligence";
import { parseRoutingConfig, startRouting } from "@headwater/routing";
import type { ServiceName } from "@headwater/protocol";
import {
  createLogger,
  type Deps,
  type Env,
  listenAdmin,
  listenHttp,
  ResourceStack,
  type Service,
  systemClock,
  systemHealth,
} from "@headwater/runtime";
import { parseScoringConfig, startScoring } from "@headwater/scoring";
import type { loadSecrets } from "./data-dir.ts";
import type { Infrastructure } from "./infrastructure.ts";
import type { Options } from "./options.ts";
import type { RunningSystem } from "./system.ts";

const STARTERS: Record<ServiceName, (env: Env, deps: Deps) => Promise<Service>> = {
  auth: (env, deps) => startAuth(parseAuthConfig(env), deps),
  ingest: (env, deps) => startIngest(parseIngestConfig(env), deps),
  scoring: (env, deps) => startScoring(parseScoringConfig(env), deps),
  routing: (env, deps) => startRouting(parseRoutingConfig(env), deps),
  intelligence: (env, deps) => startIntelligence(parseIntelligenceConfig(env), deps),
  edge: (env, deps) => startEdge(parseEdgeConfig(env), deps),
};

export async function startSingleProcess(
  options: Options,
  env: Env,
  infrastructure: Infrastructure,
  secrets: ReturnType<typeof loadSecrets>,
): Promise<RunningSystem> {
  const stack = new ResourceStack();
  try {
    const outcomes = await Promise.allSettled(
      Object.entries(STARTERS).map(([name, start]) =>
        start(env, {
          log: createLogger({ service: name, level: env["LOG_LEVEL"] || "warn" }),
          clock: systemClock,
          natsUrl: infrastructure.natsUrl,
          natsUser: infrastructure.natsUsers?.[name as ServiceName].user ?? "",
          natsPassword: infrastructure.natsUsers?.[name as ServiceName].password ?? "",
          databaseUrl: infrastructure.databaseUrl,
          instanceId: `${name}-0`,
          profile: "laptop",
          secrets,
        }),
      ),
    );
    const services = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    // Drain order: the edge tells its sockets first, then intake ends, then the workers finish, then auth.
    const order: ServiceName[] = ["auth", "intelligence", "routing", "scoring", "ingest", "edge"];
    for (const name of order) {
      const service = services.find((s) => s.name === name);
      if (service) stack.defer(() => service.stop());
    }
    const failure = outcomes.find((outcome) => outcome.status === "rejected");
    if (failure) throw failure.reason;

    const health = async () => systemHealth(Object.fromEntries(services.map((service) => [`${service.name}-0`, service.health()])));
    const admin = await listenAdmin(services, "127.0.0.1", 0);
    stack.defer(() => admin.close());
    const http = await listenHttp({
      services,
      host: options.host,
      port: options.port,
      log: createLogger({ service: "standalone", level: env["LOG_LEVEL"] || "warn" }),
      health,
      ...(options.tls ? { tls: { cert: readFileSync(options.tls.certFile, "utf8"), key: readFileSync(options.tls.keyFile, "utf8") } } : {}),
    });
    let closing: Promise<void> | undefined;
    return {
      url: http.url,
      port: http.port,
      adminPorts: Object.fromEntries(services.map((service) => [`${service.name}-0`, admin.port])),
      health,
      settled: async (wait) => {
        for (const name of ["auth", "ingest", "scoring", "routing", "intelligence", "edge"] as const)
          await services.find((s) => s.name === name)?.settled(wait);
      },
      // The listener goes last among the public parts: sockets leave through the edge's own drain first.
      stop: () =>
        (closing ??= (async () => {
          const listener = http.close(5_000);
          await stack.close();
          await listener;
        })()),
    };
  } catch (error) {
    await stack.close();
    throw error;
  }
}
