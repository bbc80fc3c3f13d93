/**
 * Step 4 of the order of operations: what one event changes in its session. One function per event type.
 * Returns the funnel movement, the leading signal of momentum. Tests: vectors.test.ts, apply-event.test.ts.
 */
import type { VisitEvent } from "@headwater/protocol";
import { applyClick } from "./apply-click.ts";
import { applyCustom } from "./apply-custom.ts";
import { applyPageview } from "./apply-pageview.ts";
import { BOUNDS } from "./config.ts";
import { hash32 } from "./hashing.ts";
import { bounded } from "./numeric.ts";
import { categoryAt } from "./page-categories.ts";
import type { SiteScoring } from "./site-scoring.ts";
import { ABANDONMENT, CONFUSION, FRUSTRATION, type SessionState } from "./visitor-state.ts";

/** Deep enough, and near enough to the top, to count as scrolling down and back. */
const DEEP_SCROLL = 60;
const TOP_SCROLL = 10;

/** @returns −1, 0 or +1: back, nowhere, deeper. */
export function applyEvent(session: SessionState, event: VisitEvent, site: SiteScoring): number {
  rememberKind(session, event);
  // A backend names any path it likes; only the page itself says where the visitor is.
  if (event.origin === "sdk" || event.type === "pageview") session.category = site.pages.categoryOf(event.path);
  const deepBefore = session.deep;
  let movement = 0;
  switch (event.type) {
    case "pageview":
      movement = applyPageview(session, event, site);
      break;
    case "click":
      applyClick(session, event, site);
      break;
    case "scroll":
      applyScroll(session, event);
      break;
    case "form":
      applyForm(session, event);
      break;
    case "custom":
      movement = applyCustom(session, event, site);
      break;
    case "identify":
      session.identified = true;
      break;
  }
  session.afterPageview = event.type === "pageview";
  return session.deep > deepBefore ? 1 : movement;
}

function rememberKind(session: SessionState, event: VisitEvent): void {
  const kind = hash32(event.type === "custom" ? `custom:${event.name ?? ""}` : event.type);
  if (session.kinds.length < BOUNDS.kinds && !session.kinds.includes(kind)) session.kinds.push(kind);
}

function applyScroll(session: SessionState, event: VisitEvent): void {
  session.scrolls++;
  const depth = bounded(event.depth, 0, 100, 0);
  rememberScroll(session, hash32(event.path), depth);
  if (depth >= DEEP_SCROLL) {
    if (session.scrollPhase === 2) session.confusion[CONFUSION.scrollRestart] = 1;
    session.scrollPhase = 1;
  } else if (depth <= TOP_SCROLL && session.scrollPhase === 1) {
    session.scrollPhase = 2;
    const page = categoryAt(session.category).name;
    if (page === "cart" || page === "checkout") session.abandonment[ABANDONMENT.scrollTop] = 1;
  }
}

function rememberScroll(session: SessionState, path: number, depth: number): void {
  const pages = session.scrolled;
  for (let i = 0; i < pages.length; i += 3) {
    if (pages[i] !== path) continue;
    if (depth > (pages[i + 1] ?? 0)) pages[i + 1] = depth;
    return;
  }
  pages.push(path, depth, session.category);
  if (pages.length > BOUNDS.scrolledPages * 3) pages.splice(0, 3);
}

function applyForm(session: SessionState, event: VisitEvent): void {
  session.forms++;
  const form = event.form;
  if (form === undefined) return;
  const isFlow = categoryAt(session.category).isFlow;
  const fields = bounded(form.fieldCount, 0, 1_000, 0);
  if (fields > 0 && form.filledCount !== undefined) session.formProgress = bounded(form.filledCount / fields, 0, 1, 0);
  switch (form.action) {
    case "focus":
      if (isFlow) session.formDepth = Math.max(session.formDepth, 0.3);
      break;
    case "blur":
    case "change":
      if (isFlow) session.formDepth = Math.max(session.formDepth, 0.6);
      break;
    case "submit":
      if (isFlow) session.formDepth = 1;
      session.formProgress = 1;
      session.abandonment[ABANDONMENT.form] = 0;
      break;
    case "abandon":
      session.abandonment[ABANDONMENT.form] = 1;
      session.frustration[FRUSTRATION.form] = (session.frustration[FRUSTRATION.form] ?? 0) + 1;
      break;
  }
}
