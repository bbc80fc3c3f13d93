/**
 * A running Headwater for benchmarks and fault runs: `npm start -- --per-service` in a temporary data directory, the pids of its
 * processes, the listeners of its services, and keys made through the operator API. Linux only (reads /proc of its own processes).
 */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { npmStart, type StartedSystem } from "./npm-start.ts";

export interface ProductOptions {
  /** Processes per service, e.g. `scoring=2`. */
  replicas?: string;
  env?: Record<string, string | undefined>;
}

export interface KeyRequest {
  tenant: string;
  plan: string;
  scopes: string[];
  type: "browser" | "mobile" | "server";
}

export interface Product {
  host: string;
  port: number;
  url: string;
  dataDir: string;
  /** By name: `ingest-0`, `scoring-1`, `nats-server`, `postgres`, `supervisor`. Read anew at each call; a dead one is missing or replaced. */
  pids(): Map<string, number>;
  /** Public port of a service process, behind the front: where an Ingress would send. */
  servicePort(instance: string): number;
  /** Environment of a service process, to start another one like it. */
  environment(instance: string): Record<string, string>;
  run: {
    adminToken: string;
    natsUrl: string;
    natsUsers: { admin: NatsLogin; tap: NatsLogin };
    databaseUrl: string;
    adminPorts: Record<string, number>;
  };
  createKey(request: KeyRequest): Promise<string>;
  /** Overrides some limits of a tenant's plan. */
  raiseLimits(tenant: string, plan: string, limits: Record<string, number>): Promise<void>;
  output(): string;
  stop(): Promise<void>;
}

interface NatsLogin {
  user: string;
  password: string;
}

export async function startProduct(options: ProductOptions = {}): Promise<Product> {
  // PostgreSQL runs as another user when we are root, so the directory must be walkable.
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-run-"));
  fs.chmodSync(dataDir, 0o755);
  let system: StartedSystem;
  try {
    system = await npmStart(
      ["--per-service", "--no-demo", "--port", "0", "--data-dir", dataDir, ...(options.replicas ? ["--replicas", options.replicas] : [])],
      { NATS_URL: undefined, DATABASE_URL: undefined, ...options.env },
    );
  } catch (error) {
    fs.rmSync(dataDir, { recursive: true, force: true });
    throw error;
  }
  const runFile = path.join(os.tmpdir(), `headwater-${process.getuid?.() ?? "user"}`, `${system.port}.json`);
  // Written by the product for its own operator command; the fields are its documented content.
  const run = JSON.parse(fs.readFileSync(runFile, "utf8")) as Product["run"];
  const admin = async (method: string, route: string, body: unknown): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${system.url}/admin/v1${route}`, {
      method,
      headers: { Authorization: `Bearer ${run.adminToken}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    // The operator API answers with one JSON object.
    const value = (await answer.json()) as Record<string, unknown>;
    if (!answer.ok) throw new Error(`${method} ${route}: ${answer.status} ${JSON.stringify(value)}`);
    return value;
  };
  const pids = (): Map<string, number> => {
    // Replaced by rename, so it is whole whenever it can be read.
    const entries = JSON.parse(fs.readFileSync(path.join(dataDir, "pids.json"), "utf8")) as { name: string; pid: number }[];
    return new Map(entries.map(({ name, pid }) => [name, pid]));
  };
  const environment = (instance: string): Record<string, string> => {
    const pid = pids().get(instance);
    if (pid === undefined) throw new Error(`${instance} is not running`);
    const text = fs.readFileSync(`/proc/${pid}/environ`, "utf8");
    return Object.fromEntries(
      text
        .split("\0")
        .filter(Boolean)
        .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
  };
  return {
    host: "127.0.0.1",
    port: system.port,
    url: system.url,
    dataDir,
    pids,
    environment,
    servicePort: (instance) => Number(environment(instance)["HTTP_PORT"]),
    run,
    createKey: async (request) => String((await admin("POST", "/keys", request))["key"]),
    raiseLimits: async (tenant, plan, limits) => void (await admin("PUT", `/tenants/${tenant}/plan`, { plan, limits })),
    output: () => system.output(),
    stop: async () => {
      const code = await system.stop();
      fs.rmSync(dataDir, { recursive: true, force: true });
      if (code !== 0) throw new Error(`the system ended with ${code}:\n${system.output().slice(-4000)}`);
    },
  };
}
