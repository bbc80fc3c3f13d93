/** Settings every service process shares, from the environment. The table in docs/configuration.md is made from the descriptions here. */
import { PROFILES, type ServiceName } from "@headwater/protocol";
import { z } from "zod";
import { type Env, envNumber, parseEnv } from "./env.ts";
import type { Secrets } from "./service.ts";

const secret = (what: string) => z.string().min(32, "needs at least 32 characters").describe(what);

export const ProcessEnv = z.object({
  LOG_LEVEL: z
    .enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"])
    .default("info")
    .describe("Least severe level that is logged"),
  NATS_URL: z.string().describe("NATS server, e.g. nats://127.0.0.1:4222"),
  NATS_USER: z.string().optional().describe("NATS user of the service; default: the service's name"),
  NATS_PASSWORD: z.string().default("").describe("NATS password of the service"),
  DATABASE_URL: z.string().optional().describe("PostgreSQL, for services that own tables"),
  HEADWATER_INSTANCE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,48}$/)
    .optional()
    .describe("Stable id of this slot, e.g. scoring-0; default: service name and host name"),
  HEADWATER_PROFILE: z.enum(PROFILES).default("server").describe("Byte budgets of the streams"),
  HTTP_HOST: z.string().default("127.0.0.1").describe("Address of the public listener"),
  HTTP_PORT: envNumber(0, 65_535).default(0).describe("Port of the public listener; 0 = any free port"),
  ADMIN_HOST: z.string().default("127.0.0.1").describe("Address of the admin listener"),
  ADMIN_PORT: envNumber(0, 65_535)
    .default(0)
    .describe("Port of the admin listener (/metrics, /health/live, /health/ready); 0 = any free port"),
  DRAIN_TIMEOUT_MS: envNumber(0, 600_000).default(10_000).describe("Budget of a clean stop, ms"),
  KEY_PEPPER: secret("HMAC pepper of API keys"),
  CURSOR_KEY: secret("Seals cursors"),
  PRIVACY_KEY: secret("Keys the visitor hashes of erasures and consents"),
  HEADWATER_ADMIN_TOKEN: secret("Bearer token of the operator API"),
  JWT_SECRET: secret("Signs login tokens"),
  ENCRYPTION_KEY: secret("Seals TOTP secrets and upstream credentials"),
});
export type ProcessEnv = z.infer<typeof ProcessEnv>;

export function parseProcessEnv(env: Env): ProcessEnv {
  return parseEnv(ProcessEnv, env);
}

export function secretsOf(env: ProcessEnv): Secrets {
  return {
    keyPepper: env.KEY_PEPPER,
    cursorKey: env.CURSOR_KEY,
    privacyKey: env.PRIVACY_KEY,
    adminToken: env.HEADWATER_ADMIN_TOKEN,
    jwtSecret: env.JWT_SECRET,
    encryptionKey: env.ENCRYPTION_KEY,
  };
}

export function instanceIdOf(env: ProcessEnv, service: ServiceName, hostName: string): string {
  return env.HEADWATER_INSTANCE ?? `${service}-${hostName.replace(/[^A-Za-z0-9_-]/g, "-").slice(0, 40)}`;
}
