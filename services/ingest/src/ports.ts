/** What the request handlers need from the outside; adapters implement it, tests replace it. */
import type { Credential } from "@headwater/protocol";
import type { ConsentChange } from "./domain/batch.ts";
import type { ConsentState } from "./domain/consent.ts";

export type Verification = { ok: true; credential: Credential } | { ok: false; code: "missing" | "invalid" | "expired" | "unavailable" };

/** Who is behind a key. */
export interface CredentialVerifier {
  verify(key: string | undefined): Promise<Verification>;
}

/** What visitors decided about their data; answers come from memory, changes are durable when their promise resolves. */
export interface Privacy {
  isOptedOut(tenantId: string, visitorId: string): boolean;
  consentOf(tenantId: string, visitorId: string): ConsentState | undefined;
  /** Resolves when every change is stored and counts for the next event of its visitor. Rejects with IntakeRefused. */
  recordConsents(tenantId: string, changes: readonly ConsentChange[]): Promise<void>;
  /** Resolves when the fold has deleted (or re-admitted) the visitor. Rejects with IntakeRefused. */
  setOptOut(tenantId: string, visitorId: string, kind: "optout" | "optin"): Promise<void>;
}

/** Intake cannot take this now: `busy` = our own queues are full (429), `overloaded` = the log cannot be written (503). */
export class IntakeRefused extends Error {
  override readonly name = "IntakeRefused";
  readonly code: "busy" | "overloaded";
  constructor(code: "busy" | "overloaded", options?: ErrorOptions) {
    super(code, options);
    this.code = code;
  }
}

/** Lines of `visits.<lane>`, acknowledged only when durable. */
export interface VisitLog {
  /** Whether a request may be read at all; cheap. */
  isUp(): boolean;
  /** Every line or an error; lines of a lane stay adjacent and in order. Rejects with IntakeRefused. */
  append(lines: readonly VisitLine[]): Promise<void>;
}

export interface VisitLine {
  tenantId: string;
  visitorId: string;
  /** JSON without newline. */
  line: string;
}

export interface RateAnswer {
  ok: boolean;
  /** Events that fit into an empty window (burst). */
  limit: number;
  remaining: number;
  /** Epoch seconds when the whole limit is available again. */
  resetAtS: number;
  /** Whole seconds, at least 1 when refused. */
  retryAfterS: number;
}

/** Events per second and key. In one process here; a cluster-wide one hands out leases behind the same interface. */
export interface Limiter {
  take(keyId: string, ratePerSecond: number, events: number): RateAnswer;
}
