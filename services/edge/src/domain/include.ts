/**
 * `include=`: optional members spliced before the final `}` of a wire line, always in the order of FEED_INCLUDES.
 * The wire line itself is never parsed. Tests: small.test.ts.
 */
import { FEED_INCLUDES, type FeedInclude, type LabelExt } from "@headwater/protocol";

export type IncludeResult = { ok: true; includes: readonly FeedInclude[] } | { ok: false; problem: string };

/** @returns the includes asked for, without repetition, in wire order. */
export function parseInclude(values: readonly string[]): IncludeResult {
  const asked = new Set<string>(values.flatMap((value) => value.split(",")).map((item) => item.trim()));
  asked.delete("");
  const includes = FEED_INCLUDES.filter((name) => asked.delete(name));
  const [unknown] = asked;
  if (unknown !== undefined) {
    return { ok: false, problem: `include: ${JSON.stringify(unknown.slice(0, 40))} is not one of ${FEED_INCLUDES.join(", ")}` };
  }
  return { ok: true, includes };
}

/** Everything but `cursor`, which belongs to one socket. @returns `,"eventId":…` or the empty string. */
export function includeTail(includes: readonly FeedInclude[], ext: LabelExt, scoredAtMs: number): string {
  let tail = "";
  for (const name of includes) tail += part(name, ext, scoredAtMs);
  return tail;
}

export function cursorTail(cursor: string, seq: number): string {
  return `,"cursor":"${cursor}","seq":${seq}`;
}

function part(name: FeedInclude, ext: LabelExt, scoredAtMs: number): string {
  switch (name) {
    case "cursor":
      return "";
    case "ids":
      return member("eventId", ext.id) + member("siteId", ext.s);
    case "time":
      return member("eventTime", ext.et) + member("scoredAt", scoredAtMs);
    case "event":
      return (
        member("name", ext.n) +
        member("category", ext.ca) +
        member("action", ext.a) +
        member("label", ext.la) +
        member("value", ext.va) +
        member("element", ext.el === undefined ? undefined : { selector: ext.el })
      );
    case "labels":
      return member("labels", ext.l && { emotion: ext.l.em, stage: ext.l.st, lane: ext.l.ln, humanConfidence: ext.l.hc });
    case "explain":
      return member("explain", ext.x);
    case "locale":
      return ext.co === undefined && ext.lg === undefined ? "" : member("locale", { country: ext.co, language: ext.lg });
    case "origin":
      return member("origin", ext.o);
  }
}

function member(name: string, value: unknown): string {
  return value === undefined ? "" : `,"${name}":${JSON.stringify(value)}`;
}
