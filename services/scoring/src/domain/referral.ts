/**
 * Where a session came from, told by its first pageview: referrer host and `utm_medium`. Tests: referral.test.ts.
 */
import type { ReferralChannel, VisitEvent } from "@headwater/protocol";

const SEARCH_HOSTS = ["google", "bing", "duckduckgo", "yahoo", "ecosia", "baidu", "yandex", "qwant", "startpage", "naver", "seznam"];
const SOCIAL_HOSTS = [
  "facebook",
  "instagram",
  "linkedin",
  "twitter",
  "x",
  "t",
  "reddit",
  "pinterest",
  "youtube",
  "tiktok",
  "bsky",
  "threads",
];
const AI_HOSTS = ["chatgpt", "openai", "perplexity", "claude", "gemini", "copilot"];

/** Host of an absolute URL without user and port, lower case; undefined for anything else. */
export function hostOf(url: string): string | undefined {
  const match = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#@]*@)?([^/?#:]+)/i.exec(url);
  return match?.[1]?.toLowerCase();
}

export function channelOf(event: VisitEvent): ReferralChannel {
  const medium = /[?&]utm_medium=([^&#]*)/i.exec(event.url ?? "")?.[1]?.toLowerCase();
  if (medium === "email") return "email";
  if (medium !== undefined && /^(?:cpc|ppc|paid|paid[_-].*|display|banner)$/.test(medium)) return "paid";
  if (event.referrer === undefined || event.referrer === "") return "direct";
  const host = hostOf(event.referrer);
  if (host === undefined) return "referral";
  if (host === hostOf(event.url ?? "")) return "internal";
  const labels = host.split(".");
  const isAnyOf = (names: readonly string[]): boolean => labels.slice(0, -1).some((label) => names.includes(label));
  if (isAnyOf(AI_HOSTS)) return "ai";
  if (labels[0] === "mail") return "email";
  if (isAnyOf(SEARCH_HOSTS)) return "search";
  return isAnyOf(SOCIAL_HOSTS) ? "social" : "referral";
}
