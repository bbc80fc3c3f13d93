/**
 * Stealth-bot score: signs that a client pretends to be a browser it is not. Each sign alone stays below the verdict's threshold
 * of 60, because every one of them has an honest explanation (developer tools, privacy settings). Tests: bot-verdict.test.ts.
 */
import type { VisitEvent } from "@headwater/protocol";
import type { SessionState } from "./visitor-state.ts";

export const STEALTH_THRESHOLD = 60;

const PLATFORM_MISMATCH = 40;
const TOUCHLESS_PHONE = 35;
const NO_VIEWPORT = 30;
const STRAIGHT_MOUSE = 30;
const PROBE_HITS = 30;
const TLS_MISMATCH = 40;

/** @returns 0–100. */
export function stealthScore(session: SessionState, event: VisitEvent): number {
  const { userAgent, platform, maxTouchPoints, viewport, automation } = event.device;
  let score = 0;
  if (platform !== undefined && contradicts(userAgent, platform)) score += PLATFORM_MISMATCH;
  if (maxTouchPoints === 0 && /iPhone|Android.+Mobile/.test(userAgent)) score += TOUCHLESS_PHONE;
  if (viewport !== undefined && (viewport.width <= 0 || viewport.height <= 0)) score += NO_VIEWPORT;
  if (session.mouseEntropy >= 0 && session.mouseEntropy < 0.1) score += STRAIGHT_MOUSE;
  if ((automation?.signals?.length ?? 0) >= 3) score += PROBE_HITS;
  if (event.edge?.ja4 !== undefined && userAgent.startsWith("Mozilla/5.0") && isForeignTls(event.edge.ja4)) score += TLS_MISMATCH;
  return Math.min(100, score);
}

/** True when the operating system in the agent and `navigator.platform` cannot belong to one machine. */
function contradicts(userAgent: string, platform: string): boolean {
  if (/Windows NT/.test(userAgent)) return /^(?:Linux|Mac|iP)/.test(platform);
  if (/Macintosh/.test(userAgent)) return /^(?:Linux|Win)/.test(platform);
  if (/Android|X11; Linux/.test(userAgent)) return /^(?:Win|Mac|iP)/.test(platform);
  return /iPhone|iPad/.test(userAgent) && /^(?:Linux|Win)/.test(platform);
}

/** Browsers negotiate an application protocol over TLS 1.2 or newer: `t13d1516h2_…`; `00` means none was offered. */
function isForeignTls(ja4: string): boolean {
  const match = /^[tq](\d\d)[di]\d{4}(..)_/.exec(ja4);
  return match !== null && (match[2] === "00" || Number(match[1]) < 12);
}
