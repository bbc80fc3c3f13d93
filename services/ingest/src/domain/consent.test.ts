import { PRIVACY_PRESETS } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { type ConsentQuestion, consentCategories, decideConsent } from "./consent.ts";

const question = (overrides: Partial<ConsentQuestion>): ConsentQuestion => ({
  preset: "standard",
  honourGpc: false,
  signals: { gpc: false, dnt: false },
  optedOut: false,
  stored: undefined,
  event: { type: "pageview" },
  ...overrides,
});
const gpc = { gpc: true, dnt: false };
const dnt = { gpc: false, dnt: true };

describe("decideConsent", () => {
  it.each<[string, Partial<ConsentQuestion>, string]>([
    ["standard, nothing known", {}, "keep"],
    ["opted out beats granted consent", { optedOut: true, event: { type: "pageview", consent: { analytics: true } } }, "opted_out"],
    ["standard ignores GPC", { signals: gpc }, "keep"],
    ["standard honours GPC when the site asks", { signals: gpc, honourGpc: true }, "privacy_signal"],
    [
      "standard honours GPC of the event when the site asks",
      { honourGpc: true, event: { type: "click", consent: { analytics: true, gpc: true } } },
      "privacy_signal",
    ],
    ["standard ignores DNT", { signals: dnt }, "keep"],
    ["cpra honours GPC", { preset: "cpra", signals: gpc }, "privacy_signal"],
    ["cpra ignores DNT", { preset: "cpra", signals: dnt }, "keep"],
    ["ccpa honours DNT", { preset: "ccpa", signals: dnt }, "privacy_signal"],
    [
      "gdpr_strict takes GPC as a denial, even beside consent",
      { preset: "gdpr_strict", signals: gpc, event: { type: "pageview", consent: { analytics: true } } },
      "privacy_signal",
    ],
    ["gdpr_strict without information", { preset: "gdpr_strict" }, "no_consent"],
    ["hipaa without information", { preset: "hipaa" }, "no_consent"],
    ["gdpr_strict with stored consent", { preset: "gdpr_strict", stored: { analytics: true } }, "keep"],
    ["stored state without analytics says nothing", { preset: "gdpr_strict", stored: { marketing: true } }, "no_consent"],
    ["standard with a stored denial", { stored: { analytics: false } }, "no_consent"],
    ["consent without analytics", { event: { type: "pageview", consent: {} } }, "no_consent"],
    ["analytics denied", { event: { type: "pageview", consent: { analytics: false } } }, "no_consent"],
    ["analytics null", { event: { type: "pageview", consent: { analytics: null } } }, "no_consent"],
    [
      "the event's consent beats the stored denial",
      { stored: { analytics: false }, event: { type: "x", consent: { analytics: true } } },
      "keep",
    ],
  ])("%s", (_name, given, expected) => {
    const decision = decideConsent(question(given));
    expect(decision.keep ? "keep" : decision.reason).toBe(expected);
  });

  it.each(PRIVACY_PRESETS)("%s never keeps an opted-out visitor", (preset) => {
    expect(decideConsent(question({ preset, optedOut: true }))).toStrictEqual({ keep: false, reason: "opted_out" });
  });

  it.each<[string, Partial<ConsentQuestion>, boolean, boolean]>([
    ["standard, pageview", {}, false, false],
    ["standard, identify", { event: { type: "identify" } }, true, false],
    ["ccpa, pageview", { preset: "ccpa" }, true, false],
    ["gdpr_strict with marketing", { preset: "gdpr_strict", stored: { analytics: true, marketing: true } }, true, true],
    ["gdpr_strict without marketing", { preset: "gdpr_strict", stored: { analytics: true } }, false, false],
    ["hipaa, identify", { preset: "hipaa", event: { type: "identify", consent: { analytics: true } } }, false, false],
    [
      "hipaa, granted",
      { preset: "hipaa", event: { type: "identify", consent: { analytics: true, identityResolution: true } } },
      true,
      false,
    ],
    [
      "identity refused by the event",
      { stored: { identity: true }, event: { type: "identify", consent: { analytics: true, identityResolution: false } } },
      false,
      false,
    ],
    ["marketing by the event", { event: { type: "click", consent: { analytics: true, marketing: true } } }, false, true],
  ])("fields: %s", (_name, given, identity, marketing) => {
    expect(decideConsent(question(given))).toStrictEqual({ keep: true, identity, marketing });
  });
});

it("reads categories by every name clients use", () => {
  expect(consentCategories({ analytics: false, identityResolution: true, marketing: null, thirdParty: true })).toStrictEqual({
    analytics: false,
    identity: true,
  });
  expect(consentCategories({})).toStrictEqual({});
});
