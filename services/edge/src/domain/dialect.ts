/**
 * `dialect=2`: the later edition's values for the fields that name it, replaced in place in the wire text.
 * Safe without parsing: a quote inside a string value is always escaped, so `"name":` occurs only as a member name. Tests: small.test.ts.
 */
import type { LabelExt } from "@headwater/protocol";

/** Momentum ×100, eight emotions, five stages, and device type `unknown` where neither browser nor system was recognised. */
export function toDialect2(wire: string, ext: LabelExt): string {
  let text = wire;
  if (text.includes('"browser":"Unknown","os":"Unknown"')) text = replaceString(text, '"device":{"type":', "unknown");
  const momentum = ext.sc?.[MOMENTUM];
  if (momentum === undefined) return text;
  text = replaceValue(text, '"sessionMomentum":', String(Math.round(momentum * 100)));
  if (ext.l?.em !== undefined) text = replaceString(text, '"emotionalState":', ext.l.em);
  if (ext.l?.st !== undefined) text = replaceString(text, '"decisionStage":', ext.l.st);
  return text;
}

/** Index of `sessionMomentum` in NUMERIC_SCORES. */
const MOMENTUM = 7;

function replaceString(text: string, member: string, value: string): string {
  return replaceValue(text, member, JSON.stringify(value));
}

/** Replaces a scalar value up to the next `,` or `}`; the values of these members contain neither. */
function replaceValue(text: string, member: string, value: string): string {
  const at = text.indexOf(member);
  if (at === -1) return text;
  const from = at + member.length;
  let to = from;
  while (to < text.length && text[to] !== "," && text[to] !== "}") to++;
  return text.slice(0, from) + value + text.slice(to);
}
