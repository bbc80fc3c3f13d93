import { LabeledEvent } from "@headwater/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileSiteScoring } from "./site-scoring.ts";
import { CHROME, defaultSite, foldAll, foldScript, script, smallCatalog, T0, visit } from "./fixtures.ts";
import { foldVisit } from "./fold.ts";
import { newVisitorState, type VisitorState } from "./visitor-state.ts";

const catalog = smallCatalog();

describe("pipeline cases", () => {
  it("P6: identified from the identify event to the end of its session", () => {
    const events = script("0 pv /; 1 id; 2 ck #a; 2000 ck #a");
    expect(foldAll(newVisitorState(), events).map((label) => LabeledEvent.parse(JSON.parse(label.wire)).hasIdentified)).toStrictEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it("P7: a client event id counts once", () => {
    const state = newVisitorState();
    expect(foldVisit(state, visit({ eid: "a" }), defaultSite, catalog)).not.toBe("duplicate");
    const before = JSON.stringify(state);
    expect(foldVisit(state, visit({ eid: "a", id: "evt_2", et: T0 + 5_000 }), defaultSite, catalog)).toBe("duplicate");
    expect(JSON.stringify(state)).toBe(before);
  });

  it("P8: a gap of 31 minutes restarts the scores and keeps the session id", () => {
    const state = newVisitorState();
    const after = foldScript(state, "0 pv /pricing; 0 ck #a; 1860 pv /blog ref");
    // All that is left of the first session is that the visitor came back: one third of the weight of returning.
    expect(JSON.parse(after.wire)).toMatchObject({ sessionId: "sess_1", scores: { intent: 15, decisionStage: "awareness" } });
    expect(after.ext.x?.intent).toStrictEqual([["returning", 0.05]]);
    expect(after.ext).not.toHaveProperty("pv");
    expect(state.live).toMatchObject([{ id: "sess_1", pageviews: 1, clicks: 0 }]);
  });

  it("P10: rage clicks of one request are told apart by the client's times", () => {
    const clicks = script("0 pv /product/a; 10 ck #buy; 10.3 ck #buy; 10.6 ck #buy").map((event) => ({ ...event, ts: T0 + 15_000 }));
    expect(foldAll(newVisitorState(), clicks).at(-1)?.ext.sc?.[1]).toBe(38);
    const collapsed = clicks.map((event, i) => ({ ...event, et: T0 + i * 2_000 }));
    expect(foldAll(newVisitorState(), collapsed).at(-1)?.ext.sc?.[1]).toBe(0);
  });

  it("P13: an iPad that calls itself a Mac is a tablet", () => {
    const userAgent =
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15";
    expect(JSON.parse(foldScript(newVisitorState(), "0 pv /", { device: { userAgent, maxTouchPoints: 5 } }).wire).device).toStrictEqual({
      type: "tablet",
      browser: "Safari",
      os: "iPadOS",
      isMobile: true,
    });
  });

  it("P14: an HTTP library with a server key is no scraper", () => {
    const device = { userAgent: "python-httpx/0.27.0" };
    expect(foldScript(newVisitorState(), "0 pv /", { device, keyType: "server" }).ext.bc).toBeUndefined();
    expect(foldScript(newVisitorState(), "0 pv /", { device, keyType: "browser" }).ext.bc).toBe("scraper");
  });

  it("P15: Applebot is found in an agent that looks like Safari", () => {
    const userAgent =
      "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)";
    expect(JSON.parse(foldScript(newVisitorState(), "0 pv /", { device: { userAgent } }).wire).bot).toMatchObject({
      category: "search_crawler",
      name: "Applebot",
    });
  });

  it("P16: edge capture is labeled, not scored, and leaves no trace in the scores", () => {
    const state = newVisitorState();
    const label = foldVisit(state, visit({ origin: "edge", keyType: "server", scored: false, sessionId: "" }), defaultSite, catalog);
    expect(typeof label === "string" ? label : JSON.parse(label.wire)).toMatchObject({ scores: null, sessionId: "" });
    expect(state).toStrictEqual(newVisitorState());
  });
});

describe("fold", () => {
  it("absorbs behavioural summaries without touching times and counters", () => {
    const state = newVisitorState();
    foldScript(state, "0 pv /");
    const before = JSON.stringify(state.live[0]);
    expect(foldVisit(state, visit({ type: "custom", name: "form_field_summary", et: T0 + 9_000 }), defaultSite, catalog)).toBe("absorbed");
    expect(JSON.stringify(state.live[0])).toBe(before);
    expect(foldVisit(newVisitorState(), visit({ type: "custom", name: "mouse_dynamics_summary" }), defaultSite, catalog)).toBe("absorbed");
  });

  it("gives a valid frame and the same answer after a restart, whatever happens, in bounded space", () => {
    fc.assert(
      fc.property(fc.array(anyEvent(), { minLength: 1, maxLength: 120 }), (events) => {
        const kept = newVisitorState();
        let restored: VisitorState = newVisitorState();
        events.forEach((event, i) => {
          restored = JSON.parse(JSON.stringify(restored));
          const one = foldVisit(kept, { ...event, id: `evt_${i}` }, defaultSite, catalog);
          const two = foldVisit(restored, { ...event, id: `evt_${i}` }, compileSiteScoring(undefined), smallCatalog());
          expect(two).toStrictEqual(one);
          if (typeof one !== "string") LabeledEvent.parse(JSON.parse(one.wire));
        });
        expect(JSON.stringify(restored)).toBe(JSON.stringify(kept));
        expect(JSON.stringify(kept).length).toBeLessThan(24_000);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  it("stays below 24 KB for a visitor who fills every list", () => {
    const state = newVisitorState();
    const paths = ["pricing", "signup", "cart", "checkout", "payment", "product"];
    for (let i = 0; i < 6_000; i++) {
      const at = T0 + i * 7_000.123;
      const type = (["pageview", "scroll", "click", "custom", "form"] as const)[i % 5];
      foldVisit(
        state,
        visit({
          id: `evt_0123456789abcdef${i}`,
          eid: `client-event-${i}`,
          et: at,
          ts: Math.floor(at),
          sessionId: `${i % 4}`.repeat(128),
          path: `/${paths[i % 6]}/${i}`,
          ...(type === undefined ? {} : { type }),
          name: `name-${i}`,
          depth: 33.333333,
          element: { selector: `#s${i}`, x: 1.23456789 * i, y: 2 },
          device: { userAgent: CHROME, language: "x".repeat(300), timezone: "y".repeat(300) },
        }),
        defaultSite,
        catalog,
      );
    }
    expect(state.live).toHaveLength(4);
    expect(JSON.stringify(state).length).toBeLessThan(24_000);
  });
});

function anyEvent(): fc.Arbitrary<ReturnType<typeof visit>> {
  const text = fc.string({ unit: "binary", maxLength: 12 });
  return fc
    .record({
      type: fc.constantFrom("pageview", "click", "scroll", "form", "custom", "identify"),
      sessionId: fc.constantFrom("a", "b", "c", "d", "e", "f"),
      et: fc.integer({ min: 0, max: 200_000_000 }).map((offset) => T0 + offset / 10),
      path: fc.oneof(fc.constantFrom("/", "/pricing", "/cart", "/checkout", "/blog/x", "/help"), text),
      name: fc.oneof(
        fc.constantFrom("search", "purchase", "add_to_cart", "remove_from_cart", "_dead_click", "mouse_dynamics_summary"),
        text,
      ),
      value: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: 0, max: 100 })),
      depth: fc.double({ noNaN: true, noDefaultInfinity: true }),
      eid: fc.constantFrom("x", "y", "z", undefined),
      x: fc.double({ noNaN: true, noDefaultInfinity: true }),
      action: fc.constantFrom("focus", "blur", "change", "submit", "abandon"),
      count: fc.double({ noNaN: true, noDefaultInfinity: true }),
      webdriver: fc.boolean(),
      score: fc.double({ noNaN: true, noDefaultInfinity: true }),
    })
    .map((draw) =>
      visit({
        type: draw.type,
        sessionId: draw.sessionId,
        et: draw.et,
        path: draw.path,
        name: draw.name,
        value: draw.value,
        depth: draw.depth,
        ...(draw.eid === undefined ? {} : { eid: draw.eid }),
        element: { selector: draw.name, x: draw.x, y: 0, text: draw.path },
        form: { action: draw.action, fieldCount: draw.count, filledCount: draw.value },
        device: { userAgent: CHROME, automation: { webdriver: draw.webdriver, score: draw.score } },
        edge: { botScore: draw.score },
      }),
    );
}
