/**
 * Bot verdict and behavioural class of one event, from five families of evidence: edge score, registry, network, behaviour, stealth.
 * Bots are labeled, never dropped. Thresholds published, composition ours. Tests: vectors.test.ts, bot-verdict.test.ts.
 */
import type { BehavioralClass, BotVerdict, VisitEvent } from "@headwater/protocol";
import type { RegistryHit } from "./bot-registry.ts";
import { CLOCKWORK_VARIATION, gapVariation, hasNoInteraction, humanConfidence } from "./human-confidence.ts";
import { bounded } from "./numeric.ts";
import { STEALTH_THRESHOLD, stealthScore } from "./stealth.ts";
import type { SessionState } from "./visitor-state.ts";

const BOT_SCORE = 50;
const BOT_CONFIDENCE = 40;
const KIOSK_VIEWS = 30;

export interface Verdict {
  readonly bot: BotVerdict;
  readonly class: BehavioralClass;
  readonly humanConfidence: number;
}

/** @param hit what the registry says about the user agent; ignored for mobile and server keys. */
export function judge(session: SessionState, event: VisitEvent, hit: RegistryHit | null): Verdict {
  // HTTP library agents of apps and backends are legitimate. Edge capture uses a server key too, but reports other people's agents.
  const usesAgentEvidence = event.keyType === "browser" || event.origin === "edge";
  const registryHit = usesAgentEvidence ? hit : null;
  const isHostedWithoutScript = usesAgentEvidence && event.edge?.hosting === true && event.origin === "edge";
  const confidence = humanConfidence(session, event, { usesAgentEvidence, matchesRegistry: registryHit !== null, isHostedWithoutScript });
  const stealth = usesAgentEvidence ? stealthScore(session, event) : 0;

  const behaviour = bounded(1.5 * (60 - confidence), 0, 90, 0);
  const edgeScore = event.edge?.botScore;
  let score = edgeScore === undefined ? behaviour : 0.8 * (100 - bounded(edgeScore, 1, 99, 99)) + 0.2 * behaviour;
  if (isHostedWithoutScript) score = Math.max(score, 60);
  if (event.device.automation?.webdriver === true) score = Math.max(score, 85);
  score = Math.max(score, 0.9 * bounded(event.device.automation?.score, 0, 100, 0));
  if (registryHit !== null) score = Math.max(score, registryHit.category === "unknown_bot" ? 75 : 95);
  if (stealth >= STEALTH_THRESHOLD) score = Math.max(score, stealth);
  score = Math.round(score);

  const bot: BotVerdict = { isBot: score >= BOT_SCORE && confidence < BOT_CONFIDENCE, score };
  if (registryHit !== null) {
    bot.category = registryHit.category;
    if (registryHit.name !== undefined) bot.name = registryHit.name;
  } else if (stealth >= STEALTH_THRESHOLD) bot.category = "stealth_bot";
  else if (isKiosk(session)) bot.category = "kiosk";
  return { bot, class: classOf(bot, confidence), humanConfidence: confidence };
}

/** The first rule that holds wins; they overlap. */
export function classOf(bot: BotVerdict, confidence: number): BehavioralClass {
  if (bot.isBot && bot.score >= 70) return "bot";
  if (bot.score >= BOT_SCORE && confidence < 30) return "likely_bot";
  return bot.score < 30 && confidence >= 50 ? "human" : "suspicious";
}

/** One page reloaded like clockwork, and nobody touches it. */
function isKiosk(session: SessionState): boolean {
  if (session.sameViews < KIOSK_VIEWS || !hasNoInteraction(session)) return false;
  const variation = gapVariation(session);
  return variation !== undefined && variation < CLOCKWORK_VARIATION;
}
