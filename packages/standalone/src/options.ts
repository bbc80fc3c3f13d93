/** Command line and environment of `npm start` → Options, by a pure function. Tests: options.test.ts. */
import path from "node:path";
import { parseArgs } from "node:util";
import { SERVICES, type ServiceName } from "@headwater/protocol";
import { ConfigError, type Env } from "@headwater/runtime";

export interface Options {
  host: string;
  port: number;
  dataDir: string;
  demo: boolean;
  perService: boolean;
  /** Processes per service in `--per-service` mode. */
  replicas: Record<ServiceName, number>;
  natsUrl?: string;
  databaseUrl?: string;
  tls?: { certFile: string; keyFile: string };
  /** Plain `http:`/`ws:` on an address that is not loopback. */
  allowPlain: boolean;
  help: boolean;
}

export const USAGE = `npm start -- [options]
  --port <n>            public port (default: BACKEND_PORT, PORT, 7210)
  --data-dir <dir>      where data lives (default: .headwater)
  --no-demo             no demo tenant, no demo traffic
  --per-service         one process per service behind a small front
  --replicas <s=n,…>    processes per service with --per-service, e.g. scoring=2,edge=2
  --allow-plain         serve http: and ws: on an address that is not loopback
Environment: BACKEND_HOST, BACKEND_PORT, DATABASE_URL, NATS_URL, TLS_CERT, TLS_KEY, … (docs/configuration.md); .env.local and .env are read.`;

/** @param cwd relative `--data-dir` starts here. Throws ConfigError naming every problem. */
export function parseOptions(argv: readonly string[], env: Env, cwd: string): Options {
  const problems: string[] = [];
  let values: ReturnType<typeof parse>["values"];
  try {
    values = parse(argv).values;
  } catch (error) {
    throw new ConfigError([error instanceof Error ? error.message : String(error)]);
  }
  const portText = values.port ?? env["BACKEND_PORT"] ?? env["PORT"];
  const port = portText === undefined || portText === "" ? 7210 : Number(portText);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) problems.push(`port: ${portText} is not a port`);
  const host = env["BACKEND_HOST"] || "127.0.0.1";
  const certFile = env["TLS_CERT"] || undefined;
  const keyFile = env["TLS_KEY"] || undefined;
  if ((certFile === undefined) !== (keyFile === undefined)) problems.push("TLS_CERT and TLS_KEY: set both or none");
  const allowPlain = values["allow-plain"] ?? env["ALLOW_PLAIN"] === "true";
  if (!isLoopback(host) && certFile === undefined && !allowPlain) {
    problems.push(`BACKEND_HOST: ${host} is not loopback: set TLS_CERT and TLS_KEY, or --allow-plain behind a proxy that speaks TLS`);
  }
  const replicas = parseReplicas(values.replicas, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    host,
    port,
    dataDir: path.resolve(cwd, values["data-dir"] ?? ".headwater"),
    demo: !values["no-demo"],
    perService: values["per-service"] ?? false,
    replicas,
    ...(env["NATS_URL"] ? { natsUrl: env["NATS_URL"] } : {}),
    ...(env["DATABASE_URL"] ? { databaseUrl: env["DATABASE_URL"] } : {}),
    ...(certFile && keyFile ? { tls: { certFile, keyFile } } : {}),
    allowPlain,
    help: values.help ?? false,
  };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      port: { type: "string" },
      "data-dir": { type: "string" },
      "no-demo": { type: "boolean" },
      "per-service": { type: "boolean" },
      replicas: { type: "string" },
      "allow-plain": { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
    allowPositionals: false,
  });
}

function parseReplicas(text: string | undefined, problems: string[]): Record<ServiceName, number> {
  const replicas: Record<ServiceName, number> = { auth: 1, ingest: 1, scoring: 1, routing: 1, intelligence: 1, edge: 1 };
  for (const part of text?.split(",") ?? []) {
    const [name, count] = part.split("=");
    const service = SERVICES.find((s) => s === name);
    const n = Number(count);
    if (!service || !Number.isInteger(n) || n < 1 || n > 16) problems.push(`--replicas: ${part} is not <service>=<1…16>`);
    else replicas[service] = n;
  }
  return replicas;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
