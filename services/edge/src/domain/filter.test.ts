import {
  BEHAVIORAL_CLASSES,
  BOT_CATEGORIES,
  DECISION_STAGES,
  DEVICE_TYPES,
  EMOTIONAL_STATES,
  type LabelExt,
  NUMERIC_SCORES,
  VISIT_TYPES,
} from "@headwater/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { label } from "../testing/labels.ts";
import { compileFilter, type FeedFilter, filterToWire } from "./filter.ts";

const ext = (overrides: Partial<LabelExt> = {}) => label(overrides).ext;

describe("compileFilter", () => {
  it.each<[string, FeedFilter, LabelExt, boolean]>([
    ["event type", { eventTypes: ["click", "form"] }, ext({ e: "click" }), true],
    ["other event type", { eventTypes: ["form"] }, ext({ e: "click" }), false],
    ["class", { classes: ["bot"] }, ext({ c: "human" }), false],
    ["bot", { isBot: true }, ext({ b: 1 }), true],
    ["not bot", { isBot: false }, ext({ b: 1 }), false],
    ["bot category missing", { botCategories: ["ai_agent"] }, ext(), false],
    ["bot category", { botCategories: ["ai_agent"] }, ext({ bc: "ai_agent" }), true],
    ["exact page", { pages: ["/pricing"] }, ext({ p: "/pricing" }), true],
    ["page glob", { pages: ["/a", "/checkout/*"] }, ext({ p: "/checkout/pay" }), true],
    ["page glob needs the slash", { pages: ["/checkout/*"] }, ext({ p: "/checkout" }), false],
    ["site", { sites: ["shop"] }, ext({ s: "main" }), false],
    ["device", { devices: ["mobile"] }, ext({ d: "mobile" }), true],
    ["min reached", { min: { intent: 82 } }, ext(), true],
    ["min missed", { min: { intent: 83 } }, ext(), false],
    ["max", { max: { frustration: 14 } }, ext(), false],
    ["min on momentum", { min: { sessionMomentum: 0.3 } }, ext(), true],
    ["stage", { decisionStages: ["purchase"] }, ext(), false],
    ["emotion", { emotionalStates: ["positive"] }, ext(), true],
    ["identified", { identified: true }, ext({ i: 1 }), true],
    ["name", { names: ["signup"] }, ext({ n: "signup" }), true],
    ["name missing", { names: ["signup"] }, ext(), false],
    ["and between parameters", { min: { intent: 70 }, classes: ["human"] }, ext({ c: "bot" }), false],
  ])("%s", (_name, filter, event, expected) => {
    expect(compileFilter(filter, 1)(event)).toBe(expected);
  });

  it("never matches a score threshold on an unscored event, in either direction", () => {
    const { sc: _sc, em: _em, st: _st, ...unscored } = ext();
    expect(compileFilter({ min: { intent: 0 } }, 1)(unscored)).toBe(false);
    expect(compileFilter({ max: { intent: 100 } }, 1)(unscored)).toBe(false);
    expect(compileFilter({ emotionalStates: ["positive"] }, 1)(unscored)).toBe(false);
  });

  it("reads the second dialect's scales and vocabularies", () => {
    expect(compileFilter({ min: { sessionMomentum: 42 } }, 2)(ext())).toBe(true);
    expect(compileFilter({ min: { sessionMomentum: 43 } }, 2)(ext())).toBe(false);
    expect(compileFilter({ emotionalStates: ["curious"] }, 2)(ext())).toBe(true);
    expect(compileFilter({ decisionStages: ["comparing"] }, 2)(ext())).toBe(false);
  });

  it("agrees with a naive model on random filters and events", () => {
    const list = <T>(values: readonly T[]) => fc.option(fc.subarray([...values], { minLength: 1 }), { nil: undefined });
    const score = fc.integer({ min: 0, max: 100 });
    const filters = fc
      .record({
        eventTypes: list(VISIT_TYPES),
        classes: list(BEHAVIORAL_CLASSES),
        isBot: fc.option(fc.boolean(), { nil: undefined }),
        botCategories: list(BOT_CATEGORIES),
        pages: list(["/a", "/b*", "*c", "/a/*/z", "*"]),
        sites: list(["main", "shop"]),
        devices: list(DEVICE_TYPES),
        min: fc.option(fc.record({ intent: score }), { nil: undefined }),
        max: fc.option(fc.record({ confusion: score }), { nil: undefined }),
        decisionStages: list<string>(DECISION_STAGES),
        emotionalStates: list<string>(EMOTIONAL_STATES),
        identified: fc.option(fc.boolean(), { nil: undefined }),
        names: list(["x", "y"]),
      })
      .map((f) => Object.fromEntries(Object.entries(f).filter(([, value]) => value !== undefined)) as FeedFilter);
    const events = fc.record({
      e: fc.constantFrom(...VISIT_TYPES),
      c: fc.constantFrom(...BEHAVIORAL_CLASSES),
      b: fc.constantFrom(0 as const, 1 as const),
      p: fc.constantFrom("/a", "/b", "/bcd", "/xc", "/a/q/z", "/"),
      s: fc.constantFrom("main", "shop"),
      d: fc.constantFrom(...DEVICE_TYPES),
      i: fc.constantFrom(0 as const, 1 as const),
      sc: fc.array(score, { minLength: 9, maxLength: 9 }),
      em: fc.constantFrom(...EMOTIONAL_STATES),
      st: fc.constantFrom(...DECISION_STAGES),
      n: fc.constantFrom("x", "y", "z"),
      bc: fc.constantFrom(...BOT_CATEGORIES),
    });
    fc.assert(
      fc.property(filters, events, (filter, event) => {
        expect(compileFilter(filter, 1)(ext(event))).toBe(naive(filter, ext(event)));
      }),
      { numRuns: 500 },
    );
  });
});

/** The obvious reading of the table in the documentation. */
function naive(f: FeedFilter, e: LabelExt): boolean {
  const glob = (pattern: string) =>
    new RegExp(
      `^${pattern
        .split("*")
        .map((part) => part.replace(/[/]/g, "\\/"))
        .join(".*")}$`,
    );
  const at = (name: (typeof NUMERIC_SCORES)[number]) => e.sc?.[NUMERIC_SCORES.indexOf(name)];
  return (
    (!f.eventTypes || f.eventTypes.includes(e.e)) &&
    (!f.classes || f.classes.includes(e.c)) &&
    (f.isBot === undefined || f.isBot === (e.b === 1)) &&
    (!f.botCategories || (e.bc !== undefined && f.botCategories.includes(e.bc))) &&
    (!f.pages || f.pages.some((pattern) => glob(pattern).test(e.p))) &&
    (!f.sites || f.sites.includes(e.s)) &&
    (!f.devices || f.devices.includes(e.d)) &&
    (f.min?.intent === undefined || (at("intent") ?? -1) >= f.min.intent) &&
    (f.max?.confusion === undefined || (at("confusion") ?? 101) <= f.max.confusion) &&
    (!f.decisionStages || (e.st !== undefined && f.decisionStages.includes(e.st))) &&
    (!f.emotionalStates || (e.em !== undefined && f.emotionalStates.includes(e.em))) &&
    (f.identified === undefined || f.identified === (e.i === 1)) &&
    (!f.names || (e.n !== undefined && f.names.includes(e.n)))
  );
}

it("echoes a filter in a form a client may send back", () => {
  expect(filterToWire(null)).toBeNull();
  expect(filterToWire({ classes: ["bot"], crossing: [{ score: "intent", threshold: 70 }] })).toEqual({
    classes: ["bot"],
    crossing: ["intent:70"],
  });
});
