/**
 * The fold: one accepted visitor event into the visitor's state, and out as a labeled event. The order of operations is the
 * contract's (docs/signals.md, 2.6). Deterministic: time is the event's, no clock, no randomness, no I/O.
 * Tests: vectors.test.ts, fold.test.ts.
 */
import type { LabelExt, VisitEvent } from "@headwater/protocol";
import { advanceSession } from "./advance-session.ts";
import { applySummary, isSummary } from "./apply-custom.ts";
import { applyEvent } from "./apply-event.ts";
import { judge } from "./bot-verdict.ts";
import type { Catalog } from "./catalog.ts";
import { scoreSession } from "./scorecard.ts";
import { rememberEventId } from "./seen-ids.ts";
import { enterSession, liveSession } from "./sessions.ts";
import type { SiteScoring } from "./site-scoring.ts";
import { noteVisitor } from "./visitor-facts.ts";
import { newSession, type VisitorState } from "./visitor-state.ts";
import { extOf, type Labels, wireText } from "./wire.ts";

export interface Labeled {
  /** Exact JSON text of the default frame. */
  readonly wire: string;
  /** `k` is 0: the caller knows the frame's key list. */
  readonly ext: LabelExt;
}

/**
 * `duplicate`: this client event id was seen within 24 hours, nothing changed.
 * `absorbed`: a behavioural summary; it changed the state and is not an event of the feed.
 */
export type FoldResult = Labeled | "duplicate" | "absorbed";

/** Mutates `state`. Events of one visitor must come in log order; within a session an older one counts as simultaneous. */
export function foldVisit(state: VisitorState, event: VisitEvent, site: SiteScoring, catalog: Catalog): FoldResult {
  if (event.eid !== undefined && !rememberEventId(state, event.eid, event.ts)) return "duplicate";
  if (isSummary(event)) {
    const session = liveSession(state, event.sessionId, event.et);
    if (session !== undefined) applySummary(session, event);
    return "absorbed";
  }
  return event.scored ? foldScored(state, event, site, catalog) : labelOnly(event, catalog);
}

/** Edge capture and backend events without a session: verdict and device from the event alone, no scores, no state. */
function labelOnly(event: VisitEvent, catalog: Catalog): Labeled {
  const agent = catalog.agentOf(event.device);
  const verdict = judge(newSession(event.sessionId, event.et), event, agent.hit);
  const labels: Labels = { verdict, agent, card: null, hasIdentified: false };
  return { wire: wireText(event, labels), ext: extOf(event, labels, []) };
}

function foldScored(state: VisitorState, event: VisitEvent, site: SiteScoring, catalog: Catalog): Labeled {
  const session = enterSession(state, event.sessionId, event.et);
  const dtMs = advanceSession(session, event.et, site);
  const movement = applyEvent(session, event, site);

  const agent = catalog.agentOf(event.device);
  const verdict = judge(session, event, agent.hit);
  const deviceGeo = site.deviceGeoQuality(agent.device.type, event.edge?.country);
  const card = scoreSession(state, session, { movement, dtMs, deviceGeo }, site);

  const labels: Labels = { verdict, agent, card, hasIdentified: session.identified };
  const labeled = { wire: wireText(event, labels), ext: extOf(event, labels, session.scores) };
  session.scores = card.values;
  session.last = {
    bot: verdict.bot,
    class: verdict.class,
    device: agent.device,
    emotion: card.emotion,
    stage: card.stage,
    ts: event.ts,
    id: event.id,
    ...(event.eid === undefined ? {} : { eid: event.eid }),
  };
  noteVisitor(state, event);
  return labeled;
}
