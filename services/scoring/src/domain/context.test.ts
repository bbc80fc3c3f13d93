import { VisitorContext } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { visitorContext } from "./context.ts";
import { defaultSite, foldAll, foldScript, script, smallCatalog, T0, visit } from "./fixtures.ts";
import { foldVisit } from "./fold.ts";
import { newVisitorState } from "./visitor-state.ts";

describe("visitor context", () => {
  it("is null for a visitor who was never scored", () => {
    const state = newVisitorState();
    expect(visitorContext(state, "acme", "vis_1")).toBeNull();
    foldVisit(state, visit({ scored: false, sessionId: "" }), defaultSite, smallCatalog());
    expect(visitorContext(state, "acme", "vis_1")).toBeNull();
  });

  it("shows the labels of the last scored event", () => {
    const state = newVisitorState();
    const label = foldScript(state, "0 pv /pricing; 30 ck #plan", {
      edge: { country: "CH" },
      device: { userAgent: "curl/8", language: "de-CH" },
    });
    const context = VisitorContext.parse(visitorContext(state, "acme", "vis_1"));
    const frame = JSON.parse(label.wire);
    expect(context).toMatchObject({ bot: frame.bot, behavioralClass: frame.behavioralClass, device: frame.device, scores: frame.scores });
    expect(context.session).toStrictEqual({ sessionId: "sess_1", durationMs: 30_000, pagesInSession: 1 });
    expect(context.snapshotAt).toBe(new Date(T0 + 30_000).toISOString());
    expect(context.locale).toMatchObject({ language: "de-CH", primaryLanguage: "de", country: "CH" });
    expect(context.identity.clickstreamId).toMatch(/^cs_[\w-]{16}$/);
  });

  it("reads one session of several, and null for one that is gone", () => {
    const state = newVisitorState();
    foldAll(state, [...script("0 pv /a", { sessionId: "a" }), ...script("60 pv /b; 61 pv /c", { sessionId: "b" })]);
    expect(visitorContext(state, "acme", "vis_1", "a")?.session.pagesInSession).toBe(1);
    expect(visitorContext(state, "acme", "vis_1")?.session).toMatchObject({ sessionId: "b", pagesInSession: 2 });
    expect(visitorContext(state, "acme", "vis_1", "c")).toBeNull();
  });

  it.each([
    [{}, "anonymous"],
    [{ customerId: "c" }, "customer_identified"],
    [{ accountId: "c", hem: "h" }, "signal_identified"],
    [{ gclid: "g" }, "anonymous"],
  ])("with %j is %s", (identity, status) => {
    const state = newVisitorState();
    foldAll(state, [visit({ type: "identify", identity })]);
    const context = visitorContext(state, "acme", "vis_1");
    expect(context?.identity).toMatchObject({ status, hasIdentifiedThisSession: true, isReturning: false });
    expect(JSON.stringify(state)).not.toContain('"h"');
  });

  it("gives one visitor of two tenants two profile ids, and each the same one again", () => {
    const state = newVisitorState();
    foldAll(state, [visit()]);
    const idOf = (tenantId: string): string | undefined => visitorContext(state, tenantId, "vis_1")?.identity.clickstreamId;
    expect(idOf("a")).toBe(idOf("a"));
    expect(idOf("a")).not.toBe(idOf("b"));
  });

  it("names the client's event that produced it", () => {
    const state = newVisitorState();
    foldAll(state, [visit({ eid: "client-7" })]);
    expect(visitorContext(state, "acme", "vis_1")?.sourceEventId).toBe("client-7");
  });
});
