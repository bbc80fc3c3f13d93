/** Settings of the shell, spread into the environment schema of a service that serves `/api/*` routes. Tests: config.test.ts. */
import { envList, envNumber } from "@headwater/runtime";
import { z } from "zod";
import type { RouteLimit } from "./client-limits.ts";

/** `https://app.example.com` out of an address as people write it. */
const origins = () =>
  envList().transform((items, context) =>
    items.map((item) => {
      if (item === "*") return item;
      const url = URL.canParse(item) ? new URL(item) : undefined;
      if (url && (url.protocol === "http:" || url.protocol === "https:") && url.pathname === "/") return url.origin;
      context.addIssue(`not an origin: ${item}`);
      return z.NEVER;
    }),
  );
const perSecond = (by: number, what: string) => envNumber(1, 1_000_000).default(by).describe(`Requests a second of ${what}`);
const burst = (by: number, what: string) => envNumber(1, 1_000_000).default(by).describe(`Requests at once of ${what}`);

export const ApiEnv = z.object({
  CORS_ORIGIN: origins()
    .default(["http://localhost:7200"])
    .describe("Origins of browser applications that may call, comma-separated; `*` = any, then without credentials"),
  REQUEST_TIMEOUT_MS: envNumber(100, 600_000).default(15_000).describe("A request without answer after this time is answered 504, ms"),
  TRUSTED_PROXIES: envList().default([]).describe("Addresses or CIDR blocks whose X-Forwarded-For is believed"),
  RATE_LIMIT_PER_SECOND: perSecond(20, "one account, or one client address without a login"),
  RATE_LIMIT_BURST: burst(50, "one account, or one client address without a login"),
});
export type ApiConfig = z.infer<typeof ApiEnv>;

/** Beside {@link ApiEnv} in auth. */
export const AuthLimitEnv = z.object({
  RATE_LIMIT_LOGIN_PER_SECOND: perSecond(3, "one client address to login and register"),
  RATE_LIMIT_LOGIN_BURST: burst(5, "one client address to login and register"),
  RATE_LIMIT_AUTH_PER_SECOND: perSecond(10, "one client to other paths of /api/auth"),
  RATE_LIMIT_AUTH_BURST: burst(20, "one client to other paths of /api/auth"),
});

/** Limits of `/api/auth` beside the general one. */
export function authLimits(config: z.infer<typeof AuthLimitEnv>): RouteLimit[] {
  return [
    {
      name: "login",
      matches: (path) => path === "/api/auth/login" || path === "/api/auth/register",
      rate: { rate: config.RATE_LIMIT_LOGIN_PER_SECOND, burst: config.RATE_LIMIT_LOGIN_BURST },
      by: "address",
    },
    {
      name: "auth",
      matches: (path) => path.startsWith("/api/auth/") && path !== "/api/auth/login" && path !== "/api/auth/register",
      rate: { rate: config.RATE_LIMIT_AUTH_PER_SECOND, burst: config.RATE_LIMIT_AUTH_BURST },
      by: "client",
    },
  ];
}
