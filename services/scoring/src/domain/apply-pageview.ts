/**
 * What a pageview changes: funnel depth, navigation patterns (U-turn, loop, haste, backing out), origin of the session.
 * Tests: vectors.test.ts, apply-event.test.ts.
 */
import type { VisitEvent } from "@headwater/protocol";
import { BOUNDS } from "./config.ts";
import { hash32 } from "./hashing.ts";
import { type Category, categoryAt } from "./page-categories.ts";
import { channelOf, hostOf } from "./referral.ts";
import type { SiteScoring } from "./site-scoring.ts";
import { ABANDONMENT, CONFUSION, FRUSTRATION, reachStage, type SessionState } from "./visitor-state.ts";

const U_TURN_MS = 10_000;
const LOOP_WINDOW_MS = 60_000;
const LOOP_PATHS = 3;
const HASTE_WINDOW_MS = 15_000;
const HASTE_PATHS = 3;
const HESITATION_VIEWS = 3;

/** @returns −1 when the page is shallower than the one before, else 0. */
export function applyPageview(session: SessionState, event: VisitEvent, site: SiteScoring): number {
  const page = categoryAt(session.category);
  const path = hash32(event.path);
  const views = session.views;
  const previousPath = views.at(-3);
  const previous = previousPath === undefined ? undefined : categoryAt(views.at(-1) ?? -1);

  noteOrigin(session, event, site);
  session.pageviews++;
  session.scrollPhase = 0;
  session.sameViews = previousPath === path ? session.sameViews + 1 : 1;
  if (page.isHighValue) session.hvViews++;
  if (page.name === "cancel") session.sawCancel = true;
  if (page.name === "billing") session.sawBilling = true;
  if (page.name === "purchase") session.bought = true;
  reachStage(session, page.stage);
  raiseCartSignal(session, page);

  views.push(path, session.lastAt - session.startAt, session.category);
  if (views.length > BOUNDS.views * 3) views.splice(0, 3);
  noteNavigation(session, page);
  if (page.isConversion) noteConversionView(session, path);

  if (previous === undefined || page.stage >= previous.stage) return 0;
  if (previous.name === "cart" || previous.name === "checkout" || previous.name === "payment") {
    session.abandonment[ABANDONMENT.backOut] = 1;
  }
  return -1;
}

function noteOrigin(session: SessionState, event: VisitEvent, site: SiteScoring): void {
  const host = event.referrer === undefined ? undefined : hostOf(event.referrer);
  if (host !== undefined && site.isCompetitor(host)) session.sawCompetitor = true;
  if (session.pageviews > 0) return;
  session.channel = channelOf(event);
  session.cameDirect = event.referrer === undefined || event.referrer === "";
}

function raiseCartSignal(session: SessionState, page: Category): void {
  if (page.name === "cart" || page.name === "checkout" || page.name === "payment") session.cartSignal = 1;
  else if (page.name === "pricing") session.cartSignal = Math.max(session.cartSignal, 0.5);
}

function noteNavigation(session: SessionState, page: Category): void {
  const views = session.views;
  const now = views.at(-2) ?? 0;
  const [a, b, c] = [views.at(-9), views.at(-6), views.at(-3)];
  if (a !== undefined && a === c && a !== b && now - (views.at(-5) ?? 0) <= U_TURN_MS) {
    session.frustration[FRUSTRATION.uTurns] = (session.frustration[FRUSTRATION.uTurns] ?? 0) + 1;
  }
  if (pathsSeen(views, now - LOOP_WINDOW_MS, 2) >= LOOP_PATHS) session.confusion[CONFUSION.circular] = 1;
  if (pathsSeen(views, now - HASTE_WINDOW_MS, 1) >= HASTE_PATHS && !isDeepening(views)) session.confusion[CONFUSION.rapid] = 1;
  if (page.name === "help" && session.pageviews >= 2) session.confusion[CONFUSION.help] = 1;
}

/** Distinct paths viewed at least `times` times since `since`. */
function pathsSeen(views: readonly number[], since: number, times: number): number {
  const counts = new Map<number, number>();
  for (let i = views.length - 3; i >= 0 && (views[i + 1] ?? 0) >= since; i -= 3) {
    const path = views[i] ?? 0;
    counts.set(path, (counts.get(path) ?? 0) + 1);
  }
  if (times === 1) return counts.size;
  let paths = 0;
  for (const count of counts.values()) if (count >= times) paths++;
  return paths;
}

/** True when the last three pages go strictly deeper: a quick, straight funnel is not confusion. */
function isDeepening(views: readonly number[]): boolean {
  const stage = (back: number): number => categoryAt(views.at(back) ?? -1).stage;
  return stage(-7) < stage(-4) && stage(-4) < stage(-1);
}

function noteConversionView(session: SessionState, path: number): void {
  const counts = session.convViews;
  let i = 0;
  while (i < counts.length && counts[i] !== path) i += 2;
  if (i === counts.length) counts.push(path, 0);
  const count = (counts[i + 1] ?? 0) + 1;
  counts[i + 1] = count;
  if (count >= HESITATION_VIEWS) session.abandonment[ABANDONMENT.hesitation] = 1;
  if (counts.length > BOUNDS.convPages * 2) counts.splice(0, 2);
}
