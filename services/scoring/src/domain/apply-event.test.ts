import { describe, expect, it } from "vitest";
import { foldAll, script } from "./fixtures.ts";
import { ABANDONMENT, CONFUSION, FRUSTRATION, newVisitorState, type SessionState } from "./visitor-state.ts";

function sessionAfter(text: string, overrides = {}): SessionState {
  const state = newVisitorState();
  foldAll(state, script(text, overrides));
  const session = state.live[0];
  if (session === undefined) throw new Error("no session");
  return session;
}

describe("navigation", () => {
  it("counts a U-turn only when the middle page was held ten seconds or less", () => {
    expect(sessionAfter("0 pv /a; 20 pv /b; 30 pv /a").frustration[FRUSTRATION.uTurns]).toBe(1);
    expect(sessionAfter("0 pv /a; 20 pv /b; 31 pv /a").frustration[FRUSTRATION.uTurns]).toBe(0);
    expect(sessionAfter("0 pv /a; 1 pv /a; 2 pv /a").frustration[FRUSTRATION.uTurns]).toBe(0);
  });

  it("sees circles and haste", () => {
    expect(sessionAfter("0 pv /a; 20 pv /b; 40 pv /c; 42 pv /a; 50 pv /b; 58 pv /c").confusion[CONFUSION.circular]).toBe(1);
    expect(sessionAfter("0 pv /a; 5 pv /b; 15 pv /c").confusion[CONFUSION.rapid]).toBe(1);
    expect(sessionAfter("0 pv /a; 5 pv /b; 16 pv /c").confusion[CONFUSION.rapid]).toBe(0);
    expect(sessionAfter("0 pv /product; 5 pv /pricing; 10 pv /cart").confusion[CONFUSION.rapid]).toBe(0);
  });

  it("sees backing out of the cart, and hesitation on a conversion page", () => {
    expect(sessionAfter("0 pv /cart; 20 pv /product/a").abandonment[ABANDONMENT.backOut]).toBe(1);
    expect(sessionAfter("0 pv /product/a; 20 pv /").abandonment[ABANDONMENT.backOut]).toBe(0);
    expect(sessionAfter("0 pv /pricing; 20 pv /pricing; 40 pv /pricing").abandonment[ABANDONMENT.hesitation]).toBe(1);
    expect(sessionAfter("0 pv /pricing; 20 pv /pricing; 30 pv /cart; 40 pv /pricing").abandonment[ABANDONMENT.hesitation]).toBe(0);
  });

  it("asks for help only after the first page", () => {
    expect(sessionAfter("0 pv /help").confusion[CONFUSION.help]).toBe(0);
    expect(sessionAfter("0 pv /; 40 pv /help").confusion[CONFUSION.help]).toBe(1);
  });
});

describe("scrolling", () => {
  it("keeps the deepest depth per page", () => {
    const { scrolled } = sessionAfter("0 pv /a; 1 sc 40; 2 sc 80; 3 sc 20; 4 pv /b; 5 sc 10");
    expect([scrolled[1], scrolled[4]]).toStrictEqual([80, 10]);
  });

  it("notes a return to the top of a checkout, and a second descent", () => {
    const session = sessionAfter("0 pv /checkout; 1 sc 70; 2 sc 5; 3 sc 65");
    expect(session.abandonment[ABANDONMENT.scrollTop]).toBeGreaterThan(0.9);
    expect(session.confusion[CONFUSION.scrollRestart]).toBe(1);
    expect(sessionAfter("0 pv /checkout; 1 sc 70; 2 pv /cart; 3 sc 5").abandonment[ABANDONMENT.scrollTop]).toBe(0);
  });
});

describe("forms", () => {
  it("clears abandonment on submit and keeps the furthest step on flow pages only", () => {
    const session = sessionAfter("0 pv /signup; 1 fm focus 0/4; 2 fm abandon 1/4; 3 fm submit 4/4");
    expect(session).toMatchObject({ formDepth: 1, formProgress: 1, forms: 3 });
    expect(session.abandonment[ABANDONMENT.form]).toBe(0);
    expect(sessionAfter("0 pv /contact; 1 fm submit 4/4").formDepth).toBe(0);
  });
});

describe("custom events", () => {
  it.each([
    ["js_error", FRUSTRATION.errors],
    ["http_error", FRUSTRATION.errors],
    ["error", FRUSTRATION.errors],
    ["form_error", FRUSTRATION.form],
    ["_thrash", FRUSTRATION.thrash],
    ["_dead_click", FRUSTRATION.dead],
  ])("%s adds friction", (name, slot) => {
    expect(sessionAfter(`0 cu ${name}`).frustration[slot]).toBe(1);
  });

  it("takes any event of category error as an error", () => {
    expect(sessionAfter("0 cu oops", { category: "error" }).frustration[FRUSTRATION.errors]).toBe(1);
  });

  it.each([
    ["cart_add", 0.6],
    ["add_to_cart", 0.6],
    ["checkout_started", 0.8],
    ["begin_checkout", 0.8],
    ["order_completed", 1],
    ["purchase", 1],
    ["remove_from_cart", 0],
  ])("%s reaches stage %d", (name, deep) => {
    expect(sessionAfter(`0 cu ${name} 10`).deep).toBe(deep);
  });

  it("keeps a cart's value, never below zero and never beyond JSON", () => {
    expect(sessionAfter("0 cu add_to_cart 80; 1 cu remove_from_cart 100").cartValue).toBe(0);
    expect(sessionAfter("0 cu add_to_cart 1e308; 1 cu add_to_cart 1e308").cartValue).toBe(1e9);
    expect(sessionAfter("0 cu plan_viewed 0.7; 1 cu plan_viewed 0.2").planTier).toBe(0.7);
  });

  it("tells a refined search from a plain one", () => {
    expect(sessionAfter("0 cu search; 119 cu search; 300 cu search")).toMatchObject({ searches: 2, refinedSearches: 1 });
    expect(sessionAfter("0 cu search", { action: "refine" })).toMatchObject({ searches: 0, refinedSearches: 1 });
  });

  it("does not move the visitor when a backend reports", () => {
    const state = newVisitorState();
    const [view, purchase] = script("0 pv /checkout; 5 cu purchase 10");
    if (view === undefined || purchase === undefined) throw new Error("script");
    foldAll(state, [view, { ...purchase, origin: "server", path: "/" }]);
    expect(state.live[0]).toMatchObject({ bought: true, convMs: 5_000 });
    expect(state.live[0]?.category).toBe(2);
  });
});
