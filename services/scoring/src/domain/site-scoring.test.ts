import { SiteScoringSettings } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { foldScript } from "./fixtures.ts";
import { compileSiteScoring, type SiteScoring } from "./site-scoring.ts";
import { newVisitorState } from "./visitor-state.ts";

const site = (settings: SiteScoringSettings): SiteScoring => compileSiteScoring(SiteScoringSettings.parse(settings));
const scoresOf = (script: string, settings: SiteScoringSettings, overrides = {}): number[] =>
  foldScript(newVisitorState(), script, overrides, site(settings)).ext.sc ?? [];

const BURST = "0 pv /product/a; 10 ck #buy; 10.3 ck #buy; 10.6 ck #buy";

describe("site settings", () => {
  it("are the defaults when absent or empty", () => {
    expect(scoresOf(BURST, {})).toStrictEqual(foldScript(newVisitorState(), BURST).ext.sc);
  });

  it("refuse what the model does not know", () => {
    expect(SiteScoringSettings.safeParse({ weights: { intent: { luck: 1 } } }).success).toBe(false);
    expect(SiteScoringSettings.safeParse({ colour: "red" }).success).toBe(false);
  });

  it.each<[string, SiteScoringSettings]>([
    ["selectors", { rage: { ignoreSelectors: ["#b*"] } }],
    ["a higher number of clicks", { rage: { clicks: 4 } }],
    ["a shorter window", { rage: { windowMs: 200 } }],
  ])("quiet rage clicks by %s", (_, settings) => {
    expect(scoresOf(BURST, settings)[1]).toBe(0);
  });

  it("replace the ignored texts", () => {
    const script = "0 pv /; 1 ck #n next; 1.2 ck #n next; 1.4 ck #n next";
    expect(scoresOf(script, {})[1]).toBe(0);
    expect(scoresOf(script, { rage: { ignoreTexts: ["more"] } })[1]).toBeGreaterThan(0);
  });

  it("ignore dead clicks on listed selectors", () => {
    const dead = { label: "a.download" };
    expect(scoresOf("0 pv /; 1 cu _dead_click 3", {}, dead)[1]).toBeGreaterThan(0);
    expect(scoresOf("0 pv /; 1 cu _dead_click 3", { deadClickIgnore: ["*.download"] }, dead)[1]).toBe(0);
  });

  it("know competitors by host and subdomain", () => {
    const churn = (referrer: string): number => scoresOf("0 pv /", { competitorHosts: ["Rival.example"] }, { referrer })[4] ?? Number.NaN;
    expect(churn("https://www.rival.example/compare")).toBeGreaterThan(churn("https://notrival.example/"));
  });

  it("weigh referral, device and country into value", () => {
    const value = (settings: SiteScoringSettings): number => scoresOf("0 pv /", settings, { edge: { country: "CH" } })[3] ?? Number.NaN;
    expect(value({ referralQuality: { direct: 1 } })).toBe(value({}) + 5);
    expect(value({ geoQuality: { CH: 1 }, deviceQuality: { desktop: 1 } })).toBe(value({}) + 5);
  });

  it("re-weight, re-calibrate and change half-lives", () => {
    const intent = (settings: SiteScoringSettings): number => scoresOf("0 pv /pricing", settings)[0] ?? Number.NaN;
    expect(intent({ weights: { intent: { cart: 0 } } })).toBeLessThan(intent({}));
    expect(intent({ calibration: { intent: 1 } })).toBeLessThan(intent({}));
    const later = `${BURST}; 130.6 sc 10`;
    expect(scoresOf(later, { halfLifeSec: { frustration: 10 } })[1]).toBe(0);
    expect(scoresOf(later, {})[1]).toBeGreaterThan(10);
  });

  it("move the stage of a path", () => {
    expect(foldScript(newVisitorState(), "0 pv /preise", {}, site({ pages: { pricing: ["preise"] } })).ext.st).toBe("consideration");
  });
});
