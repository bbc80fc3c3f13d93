/**
 * One request's events → what to store and what to answer. One bad event never rejects its neighbours; an unwanted one is dropped without
 * being an error. Pure: time, ids, lookups and the schema check are arguments. Tests: batch.test.ts.
 */
import type { CollectorEvent, Credential, DropReason, EdgeFacts, EventErrorCode, SiteRecord, VisitEvent } from "@headwater/protocol";
import { hostOfOrigin } from "@headwater/protocol";
import { siteOfHost } from "./access.ts";
import { type ConsentState, consentCategories, decideConsent, type PrivacySignals } from "./consent.ts";
import { eventTime } from "./event-time.ts";
import { pathOf } from "./scrub-url.ts";
import { clip } from "./text.ts";
import { type ClientVisit, visitOf } from "./visit.ts";

export type Validated = { ok: true; event: CollectorEvent } | { ok: false; code: EventErrorCode; message: string };

export interface BatchContext {
  credential: Credential;
  /** Decided by the request's origin or host; events of other sites of the tenant are told by their URL when `siteByUrl`. */
  site: SiteRecord;
  siteByUrl: boolean;
  /** `X-Capture: edge`. */
  isEdgeCapture: boolean;
  edge: EdgeFacts | undefined;
  signals: PrivacySignals;
  receivedAt: number;
  sentAt: number | undefined;
  validate(raw: unknown): Validated;
  /** Over the size limit of one event. */
  isTooLarge(raw: unknown): boolean;
  isOptedOut(visitorId: string): boolean;
  storedConsent(visitorId: string): ConsentState | undefined;
  newId(): string;
  sha256(text: string): string;
}

/** A consent decision to be recorded. */
export interface ConsentChange {
  visitorId: string;
  siteId: string;
  ts: number;
  source: "transition" | "receipt";
  state: ConsentState;
  previous?: Record<string, boolean>;
  method?: string;
  version?: string;
  gpc?: boolean;
}

export interface EventError {
  index: number;
  code: EventErrorCode;
  message: string;
}

export interface BatchPlan {
  /** In order of event time, stable. */
  visits: VisitEvent[];
  /** In the order of the batch. */
  consents: ConsentChange[];
  dropped: number;
  dropReasons: Partial<Record<DropReason, number>>;
  errors: EventError[];
}

export function planBatch(events: readonly unknown[], context: BatchContext): BatchPlan {
  const plan: BatchPlan = { visits: [], consents: [], dropped: 0, dropReasons: {}, errors: [] };
  /** Decisions made earlier in this batch count for its later events, although they are not stored yet. */
  const decided = new Map<string, ConsentState>();
  for (const [index, raw] of events.entries()) {
    const refusal = planEvent(raw, context, plan, decided);
    if (refusal) plan.errors.push({ index, ...refusal });
  }
  plan.visits.sort((a, b) => a.et - b.et);
  return plan;
}

type Refusal = { code: EventErrorCode; message: string };

function planEvent(raw: unknown, context: BatchContext, plan: BatchPlan, decided: Map<string, ConsentState>): Refusal | undefined {
  if (context.isTooLarge(raw)) return { code: "event_too_large", message: "the event is over 32 KiB" };
  const checked = context.validate(raw);
  if (!checked.ok) return { code: checked.code, message: checked.message };
  const { event } = checked;
  if (event.type === "_consent_transition") {
    recordTransition(event, context, plan, decided);
    return undefined;
  }
  const isEdgeCapture = context.isEdgeCapture || event.device.clientPlatform === "edge";
  const misuse = misuseOf(event, isEdgeCapture, context);
  if (misuse) return misuse;
  const time = eventTime(event.timestamp, context.sentAt, context.receivedAt);
  if (!time.ok) return { code: time.code, message: "the event is older than 7 days" };
  const site = siteOf(event, context);
  const visitorId = event.visitorId.toWellFormed();
  if (isExcluded(event.page.path, site)) {
    drop(plan, "excluded_path");
    return undefined;
  }
  const decision = decideConsent({
    preset: site.settings.preset,
    honourGpc: site.settings.honourGpc,
    signals: context.signals,
    optedOut: context.isOptedOut(visitorId),
    stored: decided.get(visitorId) ?? context.storedConsent(visitorId),
    event,
  });
  if (!decision.keep) {
    drop(plan, decision.reason);
    return undefined;
  }
  plan.visits.push(
    visitOf(event, {
      tenantId: context.credential.tenantId,
      site,
      keyType: context.credential.keyType,
      isEdgeCapture,
      edge: context.edge,
      receivedAt: context.receivedAt,
      et: time.et,
      id: context.newId(),
      identity: decision.identity,
      marketing: decision.marketing,
      sha256: context.sha256,
    }),
  );
  return undefined;
}

function misuseOf(event: ClientVisit, isEdgeCapture: boolean, context: BatchContext): Refusal | undefined {
  if (isEdgeCapture) {
    if (context.credential.keyType !== "server") return { code: "invalid_field", message: "edge capture needs a server key" };
    if (event.type !== "pageview") return { code: "invalid_field", message: "edge capture sends pageviews only" };
    return undefined;
  }
  if (!event.sessionId && context.credential.keyType !== "server") return { code: "missing_field", message: "sessionId is required" };
  return undefined;
}

function siteOf(event: ClientVisit, context: BatchContext): SiteRecord {
  if (!context.siteByUrl || !event.page.url) return context.site;
  return siteOfHost(context.credential.sites, hostOfOrigin(event.page.url)) ?? context.site;
}

function isExcluded(path: string, site: SiteRecord): boolean {
  const prefixes = site.settings.excludedPathPrefixes;
  if (prefixes.length === 0) return false;
  const bare = pathOf(path);
  return prefixes.some((prefix) => bare.startsWith(prefix));
}

function drop(plan: BatchPlan, reason: DropReason): void {
  plan.dropped++;
  plan.dropReasons[reason] = (plan.dropReasons[reason] ?? 0) + 1;
}

function recordTransition(
  event: Extract<CollectorEvent, { type: "_consent_transition" }>,
  context: BatchContext,
  plan: BatchPlan,
  decided: Map<string, ConsentState>,
): void {
  const visitorId = event.visitorId.toWellFormed();
  const state = consentCategories(event.newConsent);
  decided.set(visitorId, { ...(decided.get(visitorId) ?? context.storedConsent(visitorId)), ...state });
  const previous = event.previousConsent ? knownFlags(event.previousConsent) : undefined;
  const gpc = event.gpc ?? (context.signals.gpc || undefined);
  plan.consents.push({
    visitorId,
    siteId: context.site.id,
    ts: context.receivedAt,
    source: "transition",
    state,
    ...(previous === undefined ? {} : { previous }),
    ...(event.method ? { method: clip(event.method, 64) } : {}),
    ...(gpc === undefined ? {} : { gpc }),
  });
}

const CATEGORIES = ["necessary", "analytics", "identity", "identityResolution", "marketing", "thirdParty"] as const;

function knownFlags(flags: Readonly<Record<string, boolean | null>>): Record<string, boolean> {
  const kept: Record<string, boolean> = {};
  for (const name of CATEGORIES) {
    const value = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (typeof value === "boolean") kept[name] = value;
  }
  return kept;
}

/** Body of the `202`. `duplicates` were acknowledged before and are not stored again. */
export function batchAnswer(plan: BatchPlan, duplicates: number): Record<string, unknown> {
  return {
    accepted: plan.visits.length + plan.consents.length - duplicates,
    dropped: plan.dropped,
    rejected: plan.errors.length,
    duplicates,
    dropReasons: plan.dropReasons,
    errors: plan.errors,
  };
}
