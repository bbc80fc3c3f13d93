/**
 * What a custom event changes. Reserved names (leading `_`) come from our SDK, the others are the usual shop and app vocabulary;
 * a site's own names are already mapped to these by the collector. Tests: vectors.test.ts, apply-event.test.ts.
 */
import type { VisitEvent } from "@headwater/protocol";
import { AMOUNT_MAX } from "./config.ts";
import { bounded } from "./numeric.ts";
import { categoryAt } from "./page-categories.ts";
import type { SiteScoring } from "./site-scoring.ts";
import { ABANDONMENT, CONFUSION, FRUSTRATION, reachStage, type SessionState } from "./visitor-state.ts";

const REFINE_WINDOW_MS = 120_000;
const SEARCH_LOOKBACK_MS = 60_000;

/** Behavioural summaries of the SDK: they change the state, but are no events of the feed. */
const SUMMARIES: readonly string[] = ["mouse_dynamics_summary", "form_field_summary"];

export function isSummary(event: VisitEvent): boolean {
  return event.type === "custom" && event.name !== undefined && SUMMARIES.includes(event.name);
}

/** Stores what a summary says; does not touch counters or times. */
export function applySummary(session: SessionState, event: VisitEvent): void {
  const entropy = event.properties?.["entropy"];
  if (event.name === "mouse_dynamics_summary" && typeof entropy === "number") session.mouseEntropy = bounded(entropy, 0, 1, -1);
}

/** @returns −1 when something left the cart, else 0. */
export function applyCustom(session: SessionState, event: VisitEvent, site: SiteScoring): number {
  session.customs++;
  const amount = bounded(event.value, 0, AMOUNT_MAX, 0);
  switch (event.name) {
    case "_dead_click":
      if (event.label === undefined || !site.ignoresDeadClick(event.label))
        add(session, FRUSTRATION.dead, bounded(event.value, 0, 1_000, 1));
      break;
    case "_thrash":
      add(session, FRUSTRATION.thrash, 1);
      break;
    case "_exit_intent":
      session.abandonment[ABANDONMENT.exit] = 1;
      break;
    case "_tab_hidden":
      if (categoryAt(session.category).isConversion) session.abandonment[ABANDONMENT.tabHidden] = 1;
      break;
    case "_nav_scan":
      session.confusion[CONFUSION.menuScan] = 1;
      break;
    case "search":
      applySearch(session, event);
      break;
    case "form_error":
      add(session, FRUSTRATION.form, 1);
      break;
    case "add_to_cart":
    case "cart_add":
      session.cartSignal = 1;
      session.cartAdds++;
      session.cartValue = Math.min(AMOUNT_MAX, session.cartValue + amount);
      reachStage(session, 0.6);
      break;
    case "remove_from_cart":
      session.cartSignal = 1;
      session.cartRemoves++;
      session.cartValue = Math.max(0, session.cartValue - amount);
      session.abandonment[ABANDONMENT.removal] = 1;
      return -1;
    case "begin_checkout":
    case "checkout_started":
      session.cartSignal = 1;
      reachStage(session, 0.8);
      break;
    case "purchase":
    case "order_completed":
      session.bought = true;
      reachStage(session, 1);
      session.revenue = Math.min(AMOUNT_MAX, session.revenue + amount);
      break;
    case "plan_viewed":
      session.planTier = Math.max(session.planTier, bounded(event.value, 0, 1, 0));
      break;
    default:
      if (isError(event)) add(session, FRUSTRATION.errors, 1);
  }
  return 0;
}

function isError(event: VisitEvent): boolean {
  return event.name === "js_error" || event.name === "http_error" || event.name === "error" || event.category === "error";
}

function add(session: SessionState, slot: number, amount: number): void {
  session.frustration[slot] = Math.min(AMOUNT_MAX, (session.frustration[slot] ?? 0) + amount);
}

function applySearch(session: SessionState, event: VisitEvent): void {
  const at = session.lastAt - session.startAt;
  const isRefined = event.action === "refine" || (session.lastSearchAt >= 0 && at - session.lastSearchAt <= REFINE_WINDOW_MS);
  session.lastSearchAt = at;
  if (isRefined) session.refinedSearches++;
  else session.searches++;
  if ((session.views.at(-5) ?? -1) >= at - SEARCH_LOOKBACK_MS && session.views.length >= 6) session.confusion[CONFUSION.search] = 1;
}
