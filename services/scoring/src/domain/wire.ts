/**
 * Writes the two lines of a labeled event: the exact text of the default frame, keys in documented order, and the `ext` object.
 * Concatenated by hand because it runs once per event; strings from outside are always escaped. Tests: wire.test.ts.
 */
import type { BotVerdict, LabelExt, VisitEvent } from "@headwater/protocol";
import type { Verdict } from "./bot-verdict.ts";
import type { AgentProfile } from "./catalog.ts";
import { explain } from "./explain.ts";
import { coverageLaneOf } from "./labels.ts";
import type { Scorecard } from "./scorecard.ts";

/** Printable ASCII without quote and backslash: needs no escaping. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** JSON text of a string; a lone surrogate becomes U+FFFD, so that every reader can decode the line. */
export function jsonText(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text.toWellFormed());
}

export interface Labels {
  readonly verdict: Verdict;
  readonly agent: AgentProfile;
  readonly card: Scorecard | null;
  readonly hasIdentified: boolean;
}

export function wireText(event: VisitEvent, labels: Labels): string {
  return (
    `{"type":"event","ts":${event.ts},"visitorId":${jsonText(event.visitorId)},"sessionId":${jsonText(event.sessionId)},` +
    `"eventType":"${event.type}","page":${jsonText(event.path)},"bot":${botText(labels.verdict.bot)},` +
    `"behavioralClass":"${labels.verdict.class}","device":${labels.agent.deviceText},` +
    `"scores":${scoresText(labels.card)},"hasIdentified":${labels.hasIdentified}}`
  );
}

function botText(bot: BotVerdict): string {
  let text = `{"isBot":${bot.isBot},"score":${bot.score}`;
  if (bot.category !== undefined) text += `,"category":"${bot.category}"`;
  if (bot.name !== undefined) text += `,"name":${jsonText(bot.name)}`;
  return `${text}}`;
}

function scoresText(card: Scorecard | null): string {
  if (card === null) return "null";
  const [intent, frustration, engagement, value, churn, abandonment, readiness, momentum, confusion] = card.values;
  return (
    `{"intent":${intent},"frustration":${frustration},"engagement":${engagement},"value":${value},"churn":${churn},` +
    `"abandonment":${abandonment},"conversionReadiness":${readiness},"sessionMomentum":${momentum},"confusion":${confusion},` +
    `"emotionalState":"${card.emotion}","decisionStage":"${card.stage}"}`
  );
}

/** @param previous scores of the session's last scored event; empty on the first. */
export function extOf(event: VisitEvent, labels: Labels, previous: readonly number[]): LabelExt {
  const { bot, class: behavioralClass, humanConfidence } = labels.verdict;
  const { card } = labels;
  const lane = coverageLaneOf(bot.category);
  const ext: LabelExt = {
    k: 0,
    v: event.visitorId.toWellFormed(),
    e: event.type,
    c: behavioralClass,
    b: bot.isBot ? 1 : 0,
    p: event.path.toWellFormed(),
    s: event.siteId,
    d: labels.agent.device.type,
    i: labels.hasIdentified ? 1 : 0,
    ts: event.ts,
    id: event.eid ?? event.id,
    et: event.et,
    o: event.origin,
    l: { ln: lane, hc: humanConfidence },
  };
  if (bot.category !== undefined) ext.bc = bot.category;
  if (card !== null) {
    ext.sc = card.values;
    if (previous.length > 0) ext.pv = previous.slice();
    ext.em = card.emotion;
    ext.st = card.stage;
    ext.l = { em: card.fineEmotion, st: card.fineStage, ln: lane, hc: humanConfidence };
    ext.x = explain(card.contributions);
  }
  addEventFields(ext, event);
  if (event.edge?.country !== undefined) ext.co = event.edge.country;
  if (event.device.language !== undefined) ext.lg = event.device.language;
  return ext;
}

function addEventFields(ext: LabelExt, event: VisitEvent): void {
  if (event.name !== undefined) ext.n = event.name;
  if (event.category !== undefined) ext.ca = event.category;
  if (event.action !== undefined) ext.a = event.action;
  if (event.label !== undefined) ext.la = event.label;
  if (event.value !== undefined) ext.va = event.value;
  if (event.element?.selector !== undefined) ext.el = event.element.selector;
}
