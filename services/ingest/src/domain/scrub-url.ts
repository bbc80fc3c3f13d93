/**
 * Paths and URLs without personal data: what `page` on the feed shows and what is stored. Pure. Vectors: vectors/scrub.json.
 * Segments are decoded once for matching; one that did not change is emitted exactly as it was sent.
 */
import { type ScrubLevel, scrubText } from "./scrub-text.ts";

/** Click ids of ad networks; kept only with marketing consent. */
export const CLICK_IDS = [
  "gclid",
  "gbraid",
  "wbraid",
  "fbclid",
  "msclkid",
  "ttclid",
  "twclid",
  "sccid",
  "epik",
  "irclickid",
  "dclid",
  "li_fat_id",
] as const;
const clickIds: ReadonlySet<string> = new Set(CLICK_IDS);

const origin = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?#]*/;

/** Path only: no scheme, host, query or fragment. A trailing slash stays as it was sent. */
export function pathOf(text: string): string {
  const cut = text.search(/[?#]/);
  const head = cut === -1 ? text : text.slice(0, cut);
  if (!head.includes("://")) return head;
  return head.replace(origin, "") || "/";
}

/** @param path what `pathOf` returned. */
export function scrubPath(path: string, level: ScrubLevel): string {
  if (level === "standard" && !path.includes("%") && scrubText(path, level) === path) return path;
  return path
    .split("/")
    .map((segment) => scrubSegment(segment, level))
    .join("/");
}

function scrubSegment(segment: string, level: ScrubLevel): string {
  const decoded = decode(segment);
  const scrubbed = scrubText(decoded, level);
  if (scrubbed === decoded) return level === "aggressive" && /^\d{4,}$/.test(decoded) ? "[id]" : segment;
  return scrubbed
    .split(/(\[(?:email|token|card|ssn|phone|ip|id)\])/)
    .map((part, i) => (i % 2 === 1 ? part : encodeSegment(part)))
    .join("");
}

/** A broken escape is taken literally: the event must not be lost for it. */
function decode(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Only what RFC 3986 does not allow in a path segment is escaped. */
function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(/%(?:3A|40|24|26|2B|2C|3B|3D)/g, (escape) => decodeURIComponent(escape));
}

export interface UrlRules {
  level: ScrubLevel;
  /** Marketing consent: keeps click ids and `utm_*`. */
  marketing: boolean;
  /** The site's own list. */
  allowedQueryKeys: readonly string[];
}

/** Scheme, host, scrubbed path and allowed query keys; never user info or a fragment. */
export function scrubUrl(url: string, rules: UrlRules): string {
  const hash = url.indexOf("#");
  const whole = hash === -1 ? url : url.slice(0, hash);
  const mark = whole.indexOf("?");
  const base = mark === -1 ? whole : whole.slice(0, mark);
  const kept = scrubBase(base, rules.level);
  if (mark === -1) return kept;
  const query = keptQuery(whole.slice(mark + 1), rules);
  return query === "" ? kept : `${kept}?${query}`;
}

/** A referrer keeps no query at all. */
export function scrubReferrer(url: string, level: ScrubLevel): string {
  const cut = url.search(/[?#]/);
  return scrubBase(cut === -1 ? url : url.slice(0, cut), level);
}

function scrubBase(base: string, level: ScrubLevel): string {
  const head = origin.exec(base)?.[0] ?? "";
  const path = scrubPath(base.slice(head.length), level);
  if (head === "") return path;
  const slashes = head.indexOf("//") + 2;
  const authority = head.slice(slashes);
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  return head.slice(0, slashes) + scrubText(host, level) + path;
}

function keptQuery(query: string, rules: UrlRules): string {
  return query
    .split("&")
    .flatMap((pair) => {
      const equals = pair.indexOf("=");
      const key = decode(equals === -1 ? pair : pair.slice(0, equals));
      const isClickId = clickIds.has(key);
      const isKept = rules.allowedQueryKeys.includes(key) || (rules.marketing && (isClickId || key.startsWith("utm_")));
      if (key === "" || !isKept) return [];
      // A click id looks like a token by nature; it is here because the visitor agreed to it.
      if (equals === -1 || (isClickId && rules.marketing)) return [pair];
      return [pair.slice(0, equals + 1) + scrubSegment(pair.slice(equals + 1).replaceAll("+", "%20"), rules.level)];
    })
    .join("&");
}
