/**
 * A validated client event → the event that is stored: known fields only, cut, scrubbed, consent-filtered. Nothing else of the client's
 * object survives, so a hostile key cannot travel. Pure. Tests: batch.test.ts.
 */
import type { CollectorEvent, EdgeFacts, KeyType, SiteRecord, VisitDevice, VisitEvent } from "@headwater/protocol";
import { PRESETS } from "./consent.ts";
import { keptProperties } from "./custom-properties.ts";
import { keptIdentity } from "./identity.ts";
import { serverSessionId } from "./session-id.ts";
import { type ScrubLevel, scrubText } from "./scrub-text.ts";
import { pathOf, scrubPath, scrubReferrer, scrubUrl } from "./scrub-url.ts";
import { clip, clipForScrub } from "./text.ts";

type Element = NonNullable<VisitEvent["element"]>;

export type ClientVisit = Exclude<CollectorEvent, { type: "_consent_transition" }>;

export interface VisitFacts {
  tenantId: string;
  site: SiteRecord;
  keyType: KeyType;
  /** Captured by a CDN worker: no session, never scored. */
  isEdgeCapture: boolean;
  edge: EdgeFacts | undefined;
  receivedAt: number;
  et: number;
  id: string;
  /** What the visitor agreed to. */
  identity: boolean;
  marketing: boolean;
  sha256: (text: string) => string;
}

export function scrubLevelOf(site: SiteRecord): ScrubLevel {
  return site.settings.scrub ?? PRESETS[site.settings.preset].scrub;
}

export function visitOf(event: ClientVisit, facts: VisitFacts): VisitEvent {
  const level = scrubLevelOf(facts.site);
  const visitorId = event.visitorId.toWellFormed();
  const sentSession = event.sessionId ? event.sessionId.toWellFormed() : undefined;
  const visit: VisitEvent = {
    v: 1,
    kind: "visit",
    tenantId: facts.tenantId,
    siteId: facts.site.id,
    keyType: facts.keyType,
    origin: facts.isEdgeCapture ? "edge" : facts.keyType === "server" ? "server" : "sdk",
    id: facts.id,
    type: event.type,
    visitorId,
    sessionId: facts.isEdgeCapture ? "" : (sentSession ?? serverSessionId(visitorId, facts.et)),
    scored: !facts.isEdgeCapture && sentSession !== undefined,
    ts: facts.receivedAt,
    et: facts.et,
    path: clip(scrubPath(clipForScrub(pathOf(event.page.path), 1024), level), 1024),
    device: deviceOf(event.device),
  };
  if (event._eid) visit.eid = event._eid.toWellFormed();
  if (event.page.url) {
    const rules = { level, marketing: facts.marketing, allowedQueryKeys: facts.site.settings.allowedQueryKeys };
    visit.url = clip(scrubUrl(clipForScrub(event.page.url, 2048), rules), 2048);
  }
  if (event.page.title && level !== "aggressive") visit.title = scrubbed(event.page.title, 512, level);
  if (event.page.referrer) visit.referrer = clip(scrubReferrer(clipForScrub(event.page.referrer, 2048), level), 2048);
  if (facts.edge) visit.edge = facts.edge;
  addIdentity(visit, event, facts);
  addDetails(visit, event, facts.site, level);
  return visit;
}

function scrubbed(text: string, max: number, level: ScrubLevel): string {
  return clip(scrubText(clipForScrub(text, max), level), max);
}

/** On `identify` the identifiers may also stand beside `type`, as the older SDK sends them. */
function addIdentity(visit: VisitEvent, event: ClientVisit, facts: VisitFacts): void {
  if (!event.identity && event.type !== "identify") return;
  // The cast only widens: an identify event is a plain JSON object whose members are read one by one.
  const given = event.type === "identify" ? { ...(event as Record<string, unknown>), ...event.identity } : event.identity;
  const kept = given && keptIdentity(given, facts);
  if (kept) visit.identity = kept;
}

function addDetails(visit: VisitEvent, event: ClientVisit, site: SiteRecord, level: ScrubLevel): void {
  switch (event.type) {
    case "pageview":
      if (event.performance) visit.performance = present(event.performance, ["loadTime", "domContentLoaded", "firstContentfulPaint"]);
      return;
    case "click":
      visit.element = elementOf(event, level);
      return;
    case "scroll":
      visit.depth = event.depth;
      if (typeof event.timeOnPage === "number") visit.timeOnPageMs = event.timeOnPage;
      return;
    case "form":
      visit.form = { action: event.action, ...present(event, ["fieldCount", "filledCount", "errorCount"]) };
      if (event.formId) visit.form.formId = clip(event.formId, 256);
      return;
    case "custom":
      addCustom(visit, event, site, level);
      return;
    case "identify":
      return;
  }
}

function addCustom(visit: VisitEvent, event: Extract<ClientVisit, { type: "custom" }>, site: SiteRecord, level: ScrubLevel): void {
  const { aliases } = site.settings;
  const name = clip(event.name, 128);
  visit.name = (Object.hasOwn(aliases, name) ? aliases[name] : undefined) ?? name;
  if (event.category) visit.category = clip(event.category, 128);
  if (event.action) visit.action = clip(event.action, 128);
  if (event.label) visit.label = scrubbed(event.label, 512, level);
  if (typeof event.value === "number") visit.value = event.value;
  const properties = event.properties && keptProperties(event.properties, level);
  if (properties) visit.properties = properties;
}

/** Elements whose text is private by markup or by kind never show it. */
const PRIVATE_SELECTOR = /\[?data-private|data-cs-mask|type=["']?password|autocomplete\^?=["']?cc-/i;

function elementOf(event: Extract<ClientVisit, { type: "click" }>, level: ScrubLevel): Element {
  const given = event.element ?? {};
  const element: Element = {};
  const tagName = given.tagName ?? event.tagName;
  const x = given.x ?? given.pageX ?? event.pageX;
  const y = given.y ?? given.pageY ?? event.pageY;
  if (given.selector) element.selector = clip(given.selector, 512);
  const isPrivate = given.inputType === "password" || (given.selector ? PRIVATE_SELECTOR.test(given.selector) : false);
  if (given.text && level !== "aggressive" && !isPrivate) element.text = scrubbed(given.text, 128, level);
  if (tagName) element.tagName = clip(tagName, 32);
  if (given.inputType) element.inputType = clip(given.inputType, 32);
  if (typeof x === "number") element.x = x;
  if (typeof y === "number") element.y = y;
  return element;
}

function deviceOf(given: ClientVisit["device"]): VisitDevice {
  const device: VisitDevice = { userAgent: clip(given.userAgent, 512) };
  if (given.viewport) device.viewport = { width: given.viewport.width, height: given.viewport.height };
  if (given.clientPlatform) device.clientPlatform = given.clientPlatform;
  if (given.automation) {
    const { score, signals, webdriver } = given.automation;
    device.automation = {
      ...(typeof score === "number" ? { score } : {}),
      ...(signals ? { signals: signals.slice(0, 32).map((signal) => clip(signal, 64)) } : {}),
      ...(typeof webdriver === "boolean" ? { webdriver } : {}),
    };
  }
  if (typeof given.maxTouchPoints === "number") device.maxTouchPoints = given.maxTouchPoints;
  if (typeof given.pointerCoarse === "boolean") device.pointerCoarse = given.pointerCoarse;
  if (typeof given.hoverNone === "boolean") device.hoverNone = given.hoverNone;
  if (given.platform) device.platform = clip(given.platform, 64);
  if (given.language) device.language = clip(given.language, 35);
  if (given.timezone) device.timezone = clip(given.timezone, 64);
  return device;
}

/** The named members that are numbers. */
function present<K extends string>(given: { readonly [P in K]?: unknown }, names: readonly K[]): { [P in K]?: number } {
  const kept: { [P in K]?: number } = {};
  for (const name of names) {
    const value = given[name];
    if (typeof value === "number") kept[name] = value;
  }
  return kept;
}
