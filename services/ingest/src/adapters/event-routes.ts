/**
 * `POST /v1/events`: read, validate, decide, limit, append, and only then `202`. Tests: collector.int.test.ts.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { MAX_EVENT_BYTES, type VisitEvent } from "@headwater/protocol";
import type { Clock } from "@headwater/runtime";
import { batchAnswer, type BatchPlan, planBatch, type Validated } from "../domain/batch.ts";
import { readBatch } from "../domain/body.ts";
import { visitorCookie, visitorOfCookies } from "../domain/cookies.ts";
import { edgeFacts } from "../domain/edge-facts.ts";
import type { RecentMap } from "../domain/recent-map.ts";
import { IntakeRefused, type Limiter, type Privacy, type RateAnswer, type VisitLine, type VisitLog } from "../ports.ts";
import type { Telemetry } from "../telemetry.ts";
import { type Entry, type Gate, header } from "./gate.ts";
import { type BodyBudget, readJsonBody } from "./http-body.ts";

export interface EventRouteOptions {
  gate: Gate;
  validate(raw: unknown): Validated;
  privacy: Privacy;
  limiter: Limiter;
  log: VisitLog;
  budget: BodyBudget;
  /** `tenant:visitor:_eid` of events acknowledged lately. */
  acknowledged: RecentMap<true>;
  clock: Clock;
  newId(): string;
  telemetry: Telemetry;
}

export function eventHandler(options: EventRouteOptions): (req: IncomingMessage, res: ServerResponse) => Promise<void> {
  const { gate } = options;
  return async (req, res) => {
    const receivedAt = options.clock.now();
    const entry = await gate.enter(req, res, { method: "POST", queryKey: true });
    if (!entry) return;
    if (!options.log.isUp()) return gate.refuseForNow(res, "overloaded");
    const isEdgeCapture = header(req, "x-capture")?.toLowerCase() === "edge";
    if (isEdgeCapture && entry.credential.keyType !== "server") {
      return gate.refuse(res, "key_type_not_allowed", { message: "Edge capture needs a server key" });
    }
    const body = await readJsonBody(req, options.budget);
    const startedMs = options.clock.monotonicMs();
    const rateOf = (events: number): RateAnswer =>
      options.limiter.take(entry.credential.keyId, entry.credential.limits.collectorEventsPerSecond, events);
    if (!body.ok) {
      setRateHeaders(res, rateOf(0));
      return gate.refuseBody(res, body);
    }
    const batch = readBatch(body.value);
    if (!batch.ok) {
      setRateHeaders(res, rateOf(0));
      return gate.refuse(res, batch.code, { message: batch.message });
    }

    const plan = planOf(req, entry, batch, { isEdgeCapture, receivedAt, bodyBytes: body.bytes }, options);
    const rate = rateOf(batch.events.length);
    setRateHeaders(res, rate);
    if (plan.errors.length === batch.events.length) {
      options.telemetry.rejectedBatch(plan.errors.length);
      return gate.refuse(res, "invalid_batch", { fields: { errors: plan.errors } });
    }
    if (!rate.ok) return refuseRate(gate, res, rate.retryAfterS);

    let duplicates: number;
    try {
      if (plan.consents.length > 0) await options.privacy.recordConsents(entry.credential.tenantId, plan.consents);
      duplicates = await store(plan.visits, options);
    } catch (error) {
      return refuseIntake(gate, res, error);
    }
    options.telemetry.accepted(plan, duplicates, options.clock.monotonicMs() - startedMs);
    answer(req, res, entry, plan, duplicates);
  };
}

function planOf(
  req: IncomingMessage,
  entry: Entry,
  batch: { events: readonly unknown[]; sentAt: number | undefined },
  facts: { isEdgeCapture: boolean; receivedAt: number; bodyBytes: number },
  options: EventRouteOptions,
): BatchPlan {
  const { tenantId } = entry.credential;
  return planBatch(batch.events, {
    credential: entry.credential,
    site: entry.site,
    siteByUrl: entry.originHost === undefined && entry.credential.sites.length > 1,
    isEdgeCapture: facts.isEdgeCapture,
    edge: entry.hops.isFromEdge ? edgeFacts((name) => header(req, name)) : undefined,
    signals: { gpc: header(req, "sec-gpc") === "1", dnt: req.headers.dnt === "1" },
    receivedAt: facts.receivedAt,
    sentAt: batch.sentAt,
    validate: options.validate,
    // Only a body over the limit can hold an event over the limit.
    isTooLarge: facts.bodyBytes <= MAX_EVENT_BYTES ? never : isTooLarge,
    isOptedOut: (visitorId) => options.privacy.isOptedOut(tenantId, visitorId),
    storedConsent: (visitorId) => options.privacy.consentOf(tenantId, visitorId),
    newId: options.newId,
    sha256,
  });
}

/** Appends what was not acknowledged before. @returns the number of repeats. */
async function store(visits: readonly VisitEvent[], options: EventRouteOptions): Promise<number> {
  const lines: VisitLine[] = [];
  const ids = new Set<string>();
  let duplicates = 0;
  for (const visit of visits) {
    if (visit.eid !== undefined) {
      const id = `${visit.tenantId}:${visit.visitorId}:${visit.eid}`;
      if (options.acknowledged.get(id) || ids.has(id)) {
        duplicates++;
        continue;
      }
      ids.add(id);
    }
    lines.push({ tenantId: visit.tenantId, visitorId: visit.visitorId, line: JSON.stringify(visit) });
  }
  if (lines.length > 0) await options.log.append(lines);
  for (const id of ids) options.acknowledged.set(id, true);
  return duplicates;
}

function answer(req: IncomingMessage, res: ServerResponse, entry: Entry, plan: BatchPlan, duplicates: number): void {
  const cookie = cookieFor(req, entry, plan);
  if (cookie !== undefined) res.setHeader("Set-Cookie", cookie);
  const body = JSON.stringify(batchAnswer(plan, duplicates));
  res.writeHead(202, { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}

/** Only for browsers, and only for a visitor of whom something was kept. */
function cookieFor(req: IncomingMessage, entry: Entry, plan: BatchPlan): string | undefined {
  const first = plan.visits[0];
  if (entry.credential.keyType !== "browser" || first === undefined) return undefined;
  const known = visitorOfCookies(req.headers.cookie);
  const visitorId = known !== undefined && plan.visits.some((visit) => visit.visitorId === known) ? known : first.visitorId;
  return visitorCookie(visitorId, entry.isHttps);
}

export function setRateHeaders(res: ServerResponse, rate: RateAnswer): void {
  res.setHeader("X-RateLimit-Limit", rate.limit);
  res.setHeader("X-RateLimit-Remaining", rate.remaining);
  res.setHeader("X-RateLimit-Reset", rate.resetAtS);
  res.setHeader("X-RateLimit-Scope", "key");
}

export function refuseRate(gate: Gate, res: ServerResponse, retryAfterS: number): void {
  gate.refuse(res, "rate_limit_exceeded", { headers: { "Retry-After": String(retryAfterS) }, fields: { retryAfter: retryAfterS } });
}

/** Anything but a refusal of the log is a bug and goes to the error handler. */
export function refuseIntake(gate: Gate, res: ServerResponse, error: unknown): void {
  if (!(error instanceof IntakeRefused)) throw error;
  if (error.code === "busy") refuseRate(gate, res, 1);
  else gate.refuseForNow(res, "overloaded");
}

function isTooLarge(raw: unknown): boolean {
  return Buffer.byteLength(JSON.stringify(raw)) > MAX_EVENT_BYTES;
}

function never(): boolean {
  return false;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
