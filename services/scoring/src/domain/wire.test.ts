import { LabeledEvent } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { defaultSite, foldAll, foldScript, script, smallCatalog, visit } from "./fixtures.ts";
import { foldVisit } from "./fold.ts";
import { newVisitorState } from "./visitor-state.ts";
import { jsonText } from "./wire.ts";

describe("wire text", () => {
  it("is the documented frame, byte for byte", () => {
    expect(foldScript(newVisitorState(), "0 pv /pricing").wire).toBe(
      '{"type":"event","ts":1768478400000,"visitorId":"vis_1","sessionId":"sess_1","eventType":"pageview","page":"/pricing",' +
        '"bot":{"isBot":false,"score":8},"behavioralClass":"human",' +
        '"device":{"type":"desktop","browser":"Chrome","os":"Windows","isMobile":false},' +
        '"scores":{"intent":58,"frustration":0,"engagement":5,"value":31,"churn":11,"abandonment":19,"conversionReadiness":43,' +
        '"sessionMomentum":0.28,"confusion":0,"emotionalState":"neutral","decisionStage":"consideration"},"hasIdentified":false}',
    );
  });

  it("puts category and name into bot, in order, only when matched", () => {
    expect(foldScript(newVisitorState(), "0 pv /", { device: { userAgent: "curl/8" } }).wire).toContain(
      '"bot":{"isBot":true,"score":95,"category":"scraper","name":"curl"},"behavioralClass":"bot"',
    );
  });

  it.each(['/a"b\\c', "/\n\t\u0000", "/\u2028", "/é/\u{1F600}", '/</script>"}'])("escapes %j", (path) => {
    const [label] = foldAll(newVisitorState(), [visit({ path, visitorId: `vis_${path}`, sessionId: `s${path}` })]);
    const frame = LabeledEvent.parse(JSON.parse(label?.wire ?? ""));
    expect([frame.page, frame.visitorId, frame.sessionId]).toStrictEqual([path, `vis_${path}`, `s${path}`]);
    expect(label?.wire).not.toContain("\n");
  });

  it("replaces lone surrogates, which no reader could decode", () => {
    expect(jsonText("a\ud800b")).toBe('"a\ufffdb"');
    const [label] = foldAll(newVisitorState(), [visit({ path: "/\udc00" })]);
    expect(label?.wire.isWellFormed()).toBe(true);
    expect(label?.ext.p).toBe("/\ufffd");
  });

  it("writes null scores for an unscored event", () => {
    const label = foldVisit(
      newVisitorState(),
      visit({ scored: false, sessionId: "", origin: "edge", keyType: "server" }),
      defaultSite,
      smallCatalog(),
    );
    expect(typeof label === "string" ? label : JSON.parse(label.wire)).toMatchObject({ scores: null, sessionId: "", hasIdentified: false });
  });
});

describe("ext", () => {
  it("carries previous scores from the second event of a session on", () => {
    const [first, second] = foldAll(newVisitorState(), script("0 pv /; 5 ck #a"));
    expect(first?.ext).not.toHaveProperty("pv");
    expect(second?.ext.pv).toStrictEqual(first?.ext.sc);
    expect(first?.ext).toMatchObject({
      k: 0,
      v: "vis_1",
      e: "pageview",
      c: "human",
      b: 0,
      p: "/",
      s: "main",
      d: "desktop",
      i: 0,
      o: "sdk",
      id: "evt_0",
    });
  });

  it("carries the event's own fields, locale, and the client's event id", () => {
    const { ext } = foldScript(newVisitorState(), "0 cu search 3", {
      eid: "client-1",
      category: "c",
      action: "a",
      label: "l",
      edge: { country: "CH" },
      device: { userAgent: "x/1", language: "de-CH" },
    });
    expect(ext).toMatchObject({ id: "client-1", n: "search", ca: "c", a: "a", la: "l", va: 3, co: "CH", lg: "de-CH" });
    expect(foldScript(newVisitorState(), "0 ck #buy").ext.el).toBe("#buy");
  });
});
