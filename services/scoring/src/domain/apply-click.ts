/**
 * What a click changes: distinct selectors, clicks on pricing pages, and bursts of angry clicks.
 * A burst is a run of counted clicks on one page, each close to the previous one in time and place.
 * Tests: vectors.test.ts, apply-click.test.ts.
 */
import type { VisitEvent } from "@headwater/protocol";
import { BOUNDS } from "./config.ts";
import { hash32 } from "./hashing.ts";
import { categoryAt } from "./page-categories.ts";
import type { SiteScoring } from "./site-scoring.ts";
import { FRUSTRATION, type SessionState } from "./visitor-state.ts";

/** Controls that are pressed quickly on purpose. */
const STEPPED_TAGS: readonly string[] = ["select", "video", "canvas"];
const STEPPED_INPUTS: readonly string[] = ["number", "range"];

export function applyClick(session: SessionState, event: VisitEvent, site: SiteScoring): void {
  session.clicks++;
  const selector = hash32(event.element?.selector ?? event.element?.tagName ?? "");
  if (session.selectors.length < BOUNDS.selectors && !session.selectors.includes(selector)) session.selectors.push(selector);
  if (categoryAt(session.category).name === "pricing") session.cartSignal = Math.max(session.cartSignal, 0.7);
  if (isCounted(event, site)) countTowardsBurst(session, event, site);
}

function isCounted(event: VisitEvent, site: SiteScoring): boolean {
  const element = event.element;
  if (element === undefined) return true;
  const tag = element.tagName?.toLowerCase() ?? "";
  if (STEPPED_TAGS.includes(tag)) return false;
  if (STEPPED_INPUTS.includes(element.inputType?.toLowerCase() ?? "")) return false;
  if (element.text !== undefined && site.rage.ignoresText(element.text)) return false;
  return element.selector === undefined || !site.rage.ignoresSelector(element.selector);
}

function countTowardsBurst(session: SessionState, event: VisitEvent, site: SiteScoring): void {
  const at = session.lastAt - session.startAt;
  const path = hash32(event.path);
  const x = event.element?.x ?? 0;
  const y = event.element?.y ?? 0;
  const [lastAt, lastX, lastY, lastPath, lastRun] = session.clickRun;
  const isNear =
    lastAt !== undefined &&
    lastPath === path &&
    at - lastAt <= site.rage.windowMs &&
    Math.hypot(x - (lastX ?? 0), y - (lastY ?? 0)) <= site.rage.radiusPx;
  const run = isNear ? (lastRun ?? 0) + 1 : 1;
  if (run < site.rage.clicks) {
    session.clickRun = [at, x, y, path, run];
    return;
  }
  session.clickRun = [];
  session.frustration[FRUSTRATION.rage] = (session.frustration[FRUSTRATION.rage] ?? 0) + 1;
}
