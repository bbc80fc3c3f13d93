/**
 * May this event be kept, and which of its fields? The privacy presets of a site and the decision procedure, first match wins.
 * Pure. Wire contract: docs/signals.md, "Consent". Tests: consent.test.ts.
 */
import type { CollectorConsent, DropReason, PrivacyPreset } from "@headwater/protocol";
import type { ScrubLevel } from "./scrub-text.ts";

interface PresetRules {
  /** What happens to a visitor nobody asked yet. */
  mode: "opt_in" | "opt_out";
  scrub: ScrubLevel;
  honoursGpc: boolean;
  honoursDnt: boolean;
  /** Hashed identifiers of a visitor who was not asked: always, only on the `identify` event, with marketing consent, or never. */
  identityDefault: "allowed" | "on_identify" | "with_marketing" | "denied";
}

export const PRESETS: Record<PrivacyPreset, PresetRules> = {
  standard: { mode: "opt_out", scrub: "standard", honoursGpc: false, honoursDnt: false, identityDefault: "on_identify" },
  gdpr_strict: { mode: "opt_in", scrub: "aggressive", honoursGpc: true, honoursDnt: true, identityDefault: "with_marketing" },
  ccpa: { mode: "opt_out", scrub: "standard", honoursGpc: true, honoursDnt: true, identityDefault: "allowed" },
  hipaa: { mode: "opt_in", scrub: "aggressive", honoursGpc: true, honoursDnt: true, identityDefault: "denied" },
  cpra: { mode: "opt_out", scrub: "aggressive", honoursGpc: true, honoursDnt: false, identityDefault: "denied" },
};

/** Decision a visitor made earlier; an absent category was not decided. */
export interface ConsentState {
  analytics?: boolean;
  identity?: boolean;
  marketing?: boolean;
}

/** What one request says about privacy: `Sec-GPC: 1`, `DNT: 1`. */
export interface PrivacySignals {
  gpc: boolean;
  dnt: boolean;
}

export interface ConsentQuestion {
  preset: PrivacyPreset;
  /** The site asked for GPC to be honoured under `standard` too. */
  honourGpc: boolean;
  signals: PrivacySignals;
  optedOut: boolean;
  stored: ConsentState | undefined;
  event: { type: string; consent?: CollectorConsent | null | undefined };
}

export type ConsentDecision = { keep: true; identity: boolean; marketing: boolean } | { keep: false; reason: DropReason };

/** For visitor events; a `_consent_transition` is recorded whatever the state is and never gets here. */
export function decideConsent(question: ConsentQuestion): ConsentDecision {
  const { signals, stored } = question;
  const preset = PRESETS[question.preset];
  const given = question.event.consent ?? undefined;
  if (question.optedOut) return { keep: false, reason: "opted_out" };
  const gpcCounts = preset.honoursGpc || question.honourGpc;
  if ((gpcCounts && (signals.gpc || given?.gpc === true)) || (preset.honoursDnt && signals.dnt)) {
    return { keep: false, reason: "privacy_signal" };
  }
  const analytics = given ? given.analytics === true : (stored?.analytics ?? preset.mode === "opt_out");
  if (!analytics) return { keep: false, reason: "no_consent" };
  const marketing = given?.marketing ?? stored?.marketing ?? false;
  const identity = given?.identityResolution ?? stored?.identity ?? defaultIdentity(preset, question.event.type, marketing);
  return { keep: true, identity, marketing };
}

function defaultIdentity(preset: PresetRules, eventType: string, marketing: boolean): boolean {
  switch (preset.identityDefault) {
    case "allowed":
      return true;
    case "on_identify":
      return eventType === "identify";
    case "with_marketing":
      return marketing;
    case "denied":
      return false;
  }
}

/** The categories we act on, from the names clients use; `necessary` and `thirdParty` are kept in the audit record only. */
export function consentCategories(flags: Readonly<Record<string, boolean | null | undefined>>): ConsentState {
  const identity = flags["identity"] ?? flags["identityResolution"];
  return {
    ...(typeof flags["analytics"] === "boolean" ? { analytics: flags["analytics"] } : {}),
    ...(typeof identity === "boolean" ? { identity } : {}),
    ...(typeof flags["marketing"] === "boolean" ? { marketing: flags["marketing"] } : {}),
  };
}
