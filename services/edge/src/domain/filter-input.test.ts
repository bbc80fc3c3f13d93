import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { filterToWire } from "./filter.ts";
import { filterFromMessage, filterFromQuery } from "./filter-input.ts";

const fromQuery = (query: string, dialect: 1 | 2 = 1) => filterFromQuery(new URLSearchParams(query), dialect);

describe("filterFromQuery", () => {
  it("has no filter without filter parameters", () => {
    expect(fromQuery("key=cs_live_x&include=cursor")).toEqual({ ok: true, filter: null });
  });

  it("reads every parameter", () => {
    const query =
      "eventTypes=click,form&eventTypes=custom&classes=human&isBot=false&botCategories=ai_agent&pages=/a,/b/*&sites=main&devices=mobile" +
      "&min.intent=70&max.frustration=30&min.sessionMomentum=-0.3&decisionStages=decision&emotionalStates=positive&identified=true" +
      "&crossing=intent:70,frustration:50&sample=0.1&names=signup";
    const result = fromQuery(query);
    expect(result.ok && filterToWire(result.filter)).toEqual({
      eventTypes: ["click", "form", "custom"],
      classes: ["human"],
      isBot: false,
      botCategories: ["ai_agent"],
      pages: ["/a", "/b/*"],
      sites: ["main"],
      devices: ["mobile"],
      min: { intent: 70, sessionMomentum: -0.3 },
      max: { frustration: 30 },
      decisionStages: ["decision"],
      emotionalStates: ["positive"],
      identified: true,
      crossing: ["intent:70", "frustration:50"],
      sample: 0.1,
      names: ["signup"],
    });
  });

  it.each([
    ["unknown event type", "eventTypes=clack"],
    ["unknown class", "classes=robot"],
    ["empty list", "eventTypes="],
    ["empty item", "sites=a,,b"],
    ["not a flag", "isBot=1"],
    ["unknown score", "min.foo=1"],
    ["empty score", "min.=1"],
    ["not a number", "min.intent=high"],
    ["hex number", "min.intent=0x10"],
    ["out of range", "max.intent=101"],
    ["momentum out of range", "min.sessionMomentum=2"],
    ["crossing without threshold", "crossing=intent"],
    ["crossing of a text score", "crossing=emotionalState:1"],
    ["sample zero", "sample=0"],
    ["sample over one", "sample=1.5"],
    ["prototype", "min.__proto__=1"],
    ["too many stars", `pages=${"*a".repeat(9)}`],
    ["too long an item", `names=${"x".repeat(257)}`],
  ])("refuses %s", (_name, query) => {
    expect(fromQuery(query)).toMatchObject({ ok: false });
  });

  it("knows the second dialect", () => {
    expect(fromQuery("min.sessionMomentum=75&emotionalStates=curious", 2)).toMatchObject({ ok: true });
    expect(fromQuery("emotionalStates=positive", 2)).toMatchObject({ ok: false });
    expect(fromQuery("emotionalStates=curious", 1)).toMatchObject({ ok: false });
  });
});

describe("filterFromMessage", () => {
  it("clears the filter with nothing", () => {
    for (const value of [null, undefined, {}]) expect(filterFromMessage(value, 1)).toEqual({ ok: true, filter: null });
  });

  it("accepts what it echoes, nested and dotted bounds, lists and text", () => {
    const nested = filterFromMessage({ min: { intent: 70 }, classes: ["human"], crossing: "intent:70", isBot: false, sample: 0.5 }, 1);
    const dotted = filterFromMessage({ "min.intent": "70", classes: "human", crossing: ["intent:70"], isBot: "false", sample: "0.5" }, 1);
    expect(nested).toEqual(dotted);
    expect(nested.ok && filterFromMessage(filterToWire(nested.filter), 1)).toEqual(nested);
  });

  it.each([
    [[]],
    ["text"],
    [1],
    [{ clases: ["human"] }],
    [{ classes: [1] }],
    [{ min: 5 }],
    [{ min: { __proto__x: 1 } }],
    [{ sample: Number.NaN }],
  ])("refuses %j", (value) => {
    expect(filterFromMessage(value, 1)).toMatchObject({ ok: false });
  });

  it("never throws", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(typeof filterFromMessage(value, 1).ok).toBe("boolean");
      }),
    );
  });
});
