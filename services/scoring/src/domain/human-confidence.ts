/**
 * humanConfidence: how much the behaviour of a session looks like a person's, 0–100. Published inputs, our numbers.
 * Tests: vectors.test.ts, bot-verdict.test.ts.
 */
import type { VisitEvent } from "@headwater/protocol";
import { bounded } from "./numeric.ts";
import type { SessionState } from "./visitor-state.ts";

const MIN_GAPS = 5;
/** Pauses vary like a person's above, run like a clockwork below (coefficient of variation). */
const HUMAN_VARIATION = 0.3;
export const CLOCKWORK_VARIATION = 0.1;

export interface ConfidenceInputs {
  /** False for mobile and server keys, whose agents and networks say nothing. */
  readonly usesAgentEvidence: boolean;
  readonly matchesRegistry: boolean;
  readonly isHostedWithoutScript: boolean;
}

export function humanConfidence(session: SessionState, event: VisitEvent, inputs: ConfidenceInputs): number {
  let confidence = 55;
  confidence += Math.min(15, 5 * session.selectors.length);
  if (session.scrolls >= 2) confidence += 10;
  if (session.forms > 0) confidence += 10;
  confidence += Math.min(10, session.activeMs / 6_000);
  if (session.identified) confidence += 5;
  const variation = gapVariation(session);
  if (variation !== undefined && variation >= HUMAN_VARIATION) confidence += 10;
  if (variation !== undefined && variation < CLOCKWORK_VARIATION) confidence -= 25;
  confidence -= hastePenalty(session);
  if (session.pageviews >= 5 && hasNoInteraction(session)) confidence -= 20;
  if (event.device.automation?.webdriver === true) confidence -= 40;
  if (inputs.usesAgentEvidence) {
    if (event.device.userAgent.trim() === "") confidence -= 40;
    if (inputs.isHostedWithoutScript) confidence -= 30;
    if (inputs.matchesRegistry) confidence = Math.min(confidence, 10);
  }
  return Math.round(bounded(confidence, 0, 100, 0));
}

export function hasNoInteraction(session: SessionState): boolean {
  return session.clicks + session.scrolls + session.forms === 0;
}

/**
 * Coefficient of variation of the last pauses; undefined while fewer than five are known. Pauses that are all zero say nothing:
 * that is a client whose clock was off, so that every event of a request got the same time.
 */
export function gapVariation(session: SessionState): number | undefined {
  const gaps = session.gaps;
  if (gaps.length < MIN_GAPS) return undefined;
  let total = 0;
  for (const gap of gaps) total += gap;
  if (total === 0) return undefined;
  const mean = total / gaps.length;
  let squares = 0;
  for (const gap of gaps) squares += (gap - mean) ** 2;
  return Math.sqrt(squares / gaps.length) / mean;
}

function hastePenalty(session: SessionState): number {
  if (session.pageviews < 5) return 0;
  const perSecond = session.pageviews / Math.max(1, (session.lastAt - session.startAt) / 1_000);
  if (perSecond > 1) return 30;
  return session.pageviews >= 8 && perSecond > 0.5 ? 20 : 0;
}
