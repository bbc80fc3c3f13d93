/**
 * What the fold remembers about one visitor: JSON values only, every list bounded (`BOUNDS`).
 * Typical size 1–2 KB serialised; worst case (four full sessions, 1,000 event ids) below 24 KB.
 * Tests: fold.test.ts (bounds), sessions.test.ts.
 */
import type { BehavioralClass, BotVerdict, DECISION_STAGES, DeviceLabel, EMOTIONAL_STATES, ReferralChannel } from "@headwater/protocol";
import type { CategoryIndex } from "./page-categories.ts";

/** Slots of `SessionState.frustration`, in weight order. */
export const FRUSTRATION = { rage: 0, dead: 1, errors: 2, form: 3, uTurns: 4, thrash: 5 } as const;
/** Slots of `SessionState.abandonment`: the weight order without `low_engagement`. */
export const ABANDONMENT = { exit: 0, idle: 1, tabHidden: 2, scrollTop: 3, backOut: 4, form: 5, removal: 6, hesitation: 7 } as const;
/** Slots of `SessionState.confusion`, in weight order. */
export const CONFUSION = { circular: 0, menuScan: 1, search: 2, dwell: 3, rapid: 4, scrollRestart: 5, help: 6 } as const;

/** Labels of the session's last scored event: what a snapshot read shows. */
export interface LastLabels {
  bot: BotVerdict;
  class: BehavioralClass;
  device: DeviceLabel;
  emotion: (typeof EMOTIONAL_STATES)[number];
  stage: (typeof DECISION_STAGES)[number];
  /** Receive time, ms. */
  ts: number;
  /** Server event id, and the client's when it sent one. */
  id: string;
  eid?: string;
}

export interface SessionState {
  id: string;
  /** Event times, ms. */
  startAt: number;
  lastAt: number;
  pageviews: number;
  clicks: number;
  scrolls: number;
  forms: number;
  customs: number;
  activeMs: number;
  /** Active time on high-value and on conversion pages. */
  hvMs: number;
  convMs: number;
  /** Last pauses between events, ms, newest last. */
  gaps: number[];
  /** Page the visitor is on. */
  category: CategoryIndex;
  /** Type of the last event was `pageview`: a long pause after it is a dwell. */
  afterPageview: boolean;
  /** Last pageviews as triples: path hash, ms since `startAt`, category; newest last. */
  views: number[];
  /** Consecutive pageviews of one path. */
  sameViews: number;
  hvViews: number;
  /** Deepest funnel stage reached. */
  deep: number;
  bought: boolean;
  /** The *cart / pricing* signal of intent, 0–1. */
  cartSignal: number;
  cartValue: number;
  cartAdds: number;
  cartRemoves: number;
  planTier: number;
  revenue: number;
  searches: number;
  refinedSearches: number;
  lastSearchAt: number;
  formDepth: number;
  formProgress: number;
  channel: ReferralChannel | "";
  /** The first pageview had no referrer. */
  cameDirect: boolean;
  sawCompetitor: boolean;
  sawCancel: boolean;
  sawBilling: boolean;
  /** Deepest scroll per page as triples: path hash, depth, category; oldest first. */
  scrolled: number[];
  /** Progress of deep → top → deep on the current page: 0, 1 (was deep), 2 (back at the top). */
  scrollPhase: number;
  /** Views of conversion pages since `deep` last grew, as pairs: path hash, count. */
  convViews: number[];
  /** Last counted click: ms since `startAt`, x, y, path hash, clicks in the run; empty when none. */
  clickRun: number[];
  /** Hashes of the first distinct click selectors. */
  selectors: number[];
  /** Hashes of the distinct kinds of event seen. */
  kinds: number[];
  frustration: number[];
  abandonment: number[];
  confusion: number[];
  momentum: number;
  identified: boolean;
  /** Pointer path entropy 0–1 of the last `mouse_dynamics_summary`; −1 when none came. */
  mouseEntropy: number;
  /** Last published numeric scores, `NUMERIC_SCORES` order; empty before the first. */
  scores: number[];
  last?: LastLabels;
}

/** What is kept of an ended session. */
export interface ClosedSession {
  startAt: number;
  endAt: number;
  /** Last scores, 0–100. */
  engagement: number;
  frustration: number;
  /** Distinct kinds of event. */
  kinds: number;
  bought: boolean;
}

/** Event ids first seen in one hour of receive time, packed (see hashing.ts). */
export interface SeenHour {
  hour: number;
  ids: string;
}

export interface VisitorState {
  v: 1;
  /** Live sessions, least recently used first. */
  live: SessionState[];
  /** Ended sessions, oldest first. */
  closed: ClosedSession[];
  /** Revenue of ended sessions. */
  revenue: number;
  seen: SeenHour[];
  hasCustomerId: boolean;
  hasSignalId: boolean;
  language?: string;
  timezone?: string;
  country?: string;
}

export function newVisitorState(): VisitorState {
  return { v: 1, live: [], closed: [], revenue: 0, seen: [], hasCustomerId: false, hasSignalId: false };
}

export function newSession(id: string, at: number): SessionState {
  return {
    id,
    startAt: at,
    lastAt: at,
    pageviews: 0,
    clicks: 0,
    scrolls: 0,
    forms: 0,
    customs: 0,
    activeMs: 0,
    hvMs: 0,
    convMs: 0,
    gaps: [],
    category: -1,
    afterPageview: false,
    views: [],
    sameViews: 0,
    hvViews: 0,
    deep: 0,
    bought: false,
    cartSignal: 0,
    cartValue: 0,
    cartAdds: 0,
    cartRemoves: 0,
    planTier: 0,
    revenue: 0,
    searches: 0,
    refinedSearches: 0,
    lastSearchAt: -1,
    formDepth: 0,
    formProgress: 0,
    channel: "",
    cameDirect: false,
    sawCompetitor: false,
    sawCancel: false,
    sawBilling: false,
    scrolled: [],
    scrollPhase: 0,
    convViews: [],
    clickRun: [],
    selectors: [],
    kinds: [],
    frustration: [0, 0, 0, 0, 0, 0],
    abandonment: [0, 0, 0, 0, 0, 0, 0, 0],
    confusion: [0, 0, 0, 0, 0, 0, 0],
    momentum: 0,
    identified: false,
    mouseEntropy: -1,
    scores: [],
  };
}

/** Notes that a funnel stage was reached; a deeper one than ever ends the count of hesitant views. */
export function reachStage(session: SessionState, stage: number): void {
  if (stage <= session.deep) return;
  session.deep = stage;
  session.convViews = [];
}
