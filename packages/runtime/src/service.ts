/**
 * The one shape of the six services. `startX(config, deps)` returns a Service; `main.ts` runs it alone, `standalone` mounts all of them.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Profile, ServiceName } from "@headwater/protocol";
import type { Router } from "express";
import type { Registry } from "prom-client";
import type { Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

export interface HealthReport {
  /** `degraded`: works, with a loss of comfort an operator should look at. `down`: does not do its job. */
  status: "up" | "degraded" | "down";
  checks: Record<string, { ok: boolean; detail?: string }>;
}

/** Answers every method of its path itself; a rejection is answered 500. */
export type DirectHandler = (req: IncomingMessage, res: ServerResponse) => Promise<void>;

export interface Service {
  name: ServiceName;
  /** Public routes, absolute paths. */
  router: Router;
  /** Exact paths that are answered before Express looks at them: the few that are asked tens of thousands of times a second. Also in `router`. */
  direct?: ReadonlyMap<string, DirectHandler>;
  /** WebSocket upgrades of the paths this service owns. */
  upgrade?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
  health(): HealthReport;
  metrics: Registry;
  /** Lanes, lag, sockets, …: shown by `$SRV.STATS` and `headwater status`. */
  status(): Record<string, unknown>;
  /** Resolves when all input accepted so far is processed; rejects after `withinMs`. */
  settled(options?: { withinMs?: number }): Promise<void>;
  /** Clean drain: finish what is in flight, flush, close. */
  stop(): Promise<void>;
}

/** Secrets of an installation, 32 bytes or more each; `standalone` generates them, production demands them. */
export interface Secrets {
  /** HMAC pepper of API keys. */
  keyPepper: string;
  /** Seals cursors. */
  cursorKey: string;
  /** Keys the visitor hashes of erasures and consents. */
  privacyKey: string;
  /** Bearer token of the operator API. */
  adminToken: string;
  /** Signs login tokens (HS256). Used by auth only. */
  jwtSecret: string;
  /** Seals what must be readable again: TOTP secrets (auth), upstream credentials (routing, ingest). */
  encryptionKey: string;
}

export interface Deps {
  log: Logger;
  clock: Clock;
  natsUrl: string;
  natsUser: string;
  natsPassword: string;
  /** Only for services that own tables. */
  databaseUrl?: string;
  /** Stable per slot (`scoring-0`): a restarted process with the same id reclaims its lanes at once. */
  instanceId: string;
  profile: Profile;
  secrets: Secrets;
}

export function combineHealth(checks: HealthReport["checks"], degradedBy: readonly string[] = []): HealthReport {
  const failed = Object.entries(checks).filter(([, check]) => !check.ok);
  const status = failed.length === 0 ? "up" : failed.every(([name]) => degradedBy.includes(name)) ? "degraded" : "down";
  return { status, checks };
}
