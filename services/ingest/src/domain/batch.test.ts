import { VisitEvent } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { createEventValidator } from "../adapters/event-validator.ts";
import { credential, pageview, site } from "../testing/samples.ts";
import { type BatchContext, batchAnswer, planBatch } from "./batch.ts";

const now = 1_700_000_000_000;
const validate = createEventValidator();

function plan(events: unknown[], overrides: Partial<BatchContext> = {}) {
  let ids = 0;
  return planBatch(events, {
    credential: credential(),
    site: site(),
    siteByUrl: false,
    isEdgeCapture: false,
    edge: undefined,
    signals: { gpc: false, dnt: false },
    receivedAt: now,
    sentAt: undefined,
    validate,
    isTooLarge: () => false,
    isOptedOut: () => false,
    storedConsent: () => undefined,
    newId: () => `evt_${++ids}`,
    sha256: (text) => `sha(${text})`,
    ...overrides,
  });
}

const transition = (newConsent: object, more: object = {}) => ({
  type: "_consent_transition",
  visitorId: "vis_aaaaaaaaaaaaaaaaaaaa",
  timestamp: now,
  newConsent,
  ...more,
});

describe("planBatch", () => {
  it("turns a pageview into the stored event", () => {
    const { visits } = plan([pageview({ _eid: "e1", performance: { loadTime: 12 } })]);
    expect(visits).toStrictEqual([
      {
        v: 1,
        kind: "visit",
        tenantId: "ten_1",
        siteId: "site_1",
        keyType: "browser",
        origin: "sdk",
        id: "evt_1",
        eid: "e1",
        type: "pageview",
        visitorId: "vis_aaaaaaaaaaaaaaaaaaaa",
        sessionId: "sess_1",
        scored: true,
        ts: now,
        et: now,
        path: "/pricing",
        url: "https://shop.example/pricing",
        title: "Pricing",
        referrer: "https://search.example/",
        device: { userAgent: "Mozilla/5.0", viewport: { width: 1280, height: 720 } },
        performance: { loadTime: 12 },
      },
    ]);
    expect(VisitEvent.safeParse(visits[0]).success).toBe(true);
  });

  it("keeps the neighbours of a bad event and names its index (P17)", () => {
    const result = plan([pageview(), pageview(), { type: "email_open" }, pageview(), pageview()]);
    expect(batchAnswer(result, 0)).toStrictEqual({
      accepted: 4,
      dropped: 0,
      rejected: 1,
      duplicates: 0,
      dropReasons: {},
      errors: [{ index: 2, code: "unsupported_event_type", message: 'type "email_open" is not accepted here' }],
    });
  });

  it("drops without consent and counts the reason (P1, P2)", () => {
    const denied = plan([pageview({ consent: { analytics: false } }), pageview()]);
    expect(batchAnswer(denied, 0)).toMatchObject({ accepted: 1, dropped: 1, dropReasons: { no_consent: 1 } });
    expect(plan([pageview()], { site: site({ preset: "gdpr_strict" }) })).toMatchObject({ visits: [], dropped: 1 });
    expect(plan([pageview()], { isOptedOut: () => true }).dropReasons).toStrictEqual({ opted_out: 1 });
  });

  it("honours GPC under cpra (P3)", () => {
    expect(plan([pageview()], { site: site({ preset: "cpra" }), signals: { gpc: true, dnt: false } }).dropReasons).toStrictEqual({
      privacy_signal: 1,
    });
  });

  it("records a consent transition and lets it decide the rest of the batch (P4)", () => {
    const result = plan(
      [
        pageview(),
        transition({ analytics: true, marketing: false }, { method: "manual", previousConsent: { analytics: false, x: true } }),
        pageview(),
      ],
      { site: site({ preset: "gdpr_strict" }) },
    );
    expect(result.consents).toStrictEqual([
      {
        visitorId: "vis_aaaaaaaaaaaaaaaaaaaa",
        siteId: "site_1",
        ts: now,
        source: "transition",
        state: { analytics: true, marketing: false },
        previous: { analytics: false },
        method: "manual",
      },
    ]);
    expect(batchAnswer(result, 0)).toMatchObject({ accepted: 2, dropped: 1 });
  });

  it("records the transition of an opted-out visitor and keeps dropping", () => {
    const result = plan([transition({ analytics: true }), pageview()], { isOptedOut: () => true });
    expect(batchAnswer(result, 0)).toMatchObject({ accepted: 1, dropped: 1, dropReasons: { opted_out: 1 } });
  });

  it("orders by corrected time, stable", () => {
    const at = (timestamp: number, _eid: string) => pageview({ timestamp, _eid });
    const { visits } = plan([at(now - 10, "c"), at(now - 30, "a"), at(now - 10, "d"), at(now - 20, "b")]);
    expect(visits.map((visit) => visit.eid)).toStrictEqual(["a", "b", "c", "d"]);
  });

  it("refuses a browser event without a session, gives a backend one", () => {
    const event = pageview({ sessionId: undefined });
    expect(plan([event]).errors[0]).toStrictEqual({ index: 0, code: "missing_field", message: "sessionId is required" });
    const server = credential({ keyType: "server" });
    const backend = plan([event], { credential: server }).visits[0];
    expect(backend).toMatchObject({ origin: "server", scored: false, sessionId: expect.stringMatching(/^sess_srv_/) });
    expect(plan([pageview()], { credential: server }).visits[0]).toMatchObject({ origin: "server", scored: true, sessionId: "sess_1" });
  });

  it("marks edge capture, with a server key only (P16)", () => {
    const server = credential({ keyType: "server" });
    const event = pageview({ device: { userAgent: "Googlebot", clientPlatform: "edge" } });
    const expected = { origin: "edge", scored: false, sessionId: "" };
    expect(plan([event], { credential: server }).visits[0]).toMatchObject(expected);
    expect(plan([pageview()], { credential: server, isEdgeCapture: true }).visits[0]).toMatchObject(expected);
    expect(plan([event]).errors[0]).toMatchObject({ code: "invalid_field" });
    expect(plan([pageview({ type: "click" })], { credential: server, isEdgeCapture: true }).errors[0]).toMatchObject({
      code: "invalid_field",
    });
  });

  it("refuses old and huge events", () => {
    expect(plan([pageview({ timestamp: now - 8 * 86_400_000 })]).errors[0]).toMatchObject({ code: "event_too_old" });
    expect(plan([pageview()], { isTooLarge: () => true }).errors[0]).toMatchObject({ code: "event_too_large" });
  });

  it("scrubs every place personal data hides in (P11, P12)", () => {
    const mail = "jane.doe@example.com";
    const page = {
      path: `/u/${mail}/orders?x=1`,
      url: `https://shop.example/u/${mail}?email=${mail}`,
      title: mail,
      referrer: `https://a.example/${mail}`,
    };
    const { visits } = plan([
      pageview({ page }),
      pageview({ type: "click", page, element: { selector: "#a", text: mail, x: 1, y: 2 } }),
      pageview({ type: "custom", page, name: "x", label: mail, properties: { note: mail } }),
    ]);
    expect(JSON.stringify(visits)).not.toContain("jane");
    expect(visits[0]?.path).toBe("/u/[email]/orders");
    expect(visits[1]?.element).toStrictEqual({ selector: "#a", text: "[email]", x: 1, y: 2 });
    expect(visits[2]).toMatchObject({ label: "[email]", properties: { note: "[email]" } });
  });

  it("keeps no text at all under an aggressive preset", () => {
    const event = pageview({ type: "click", element: { selector: "#a", text: "Buy" }, consent: { analytics: true } });
    const visit = plan([event], { site: site({ preset: "hipaa" }) }).visits[0];
    expect(visit?.title).toBeUndefined();
    expect(visit?.element).toStrictEqual({ selector: "#a" });
  });

  it("never keeps the text of a private element", () => {
    const texts = [
      { selector: "input", inputType: "password", text: "hunter2" },
      { selector: "[data-private] b", text: "x" },
      { selector: 'input[autocomplete="cc-number"]', text: "x" },
    ].map((element) => plan([pageview({ type: "click", element })]).visits[0]?.element?.text);
    expect(texts).toStrictEqual([undefined, undefined, undefined]);
  });

  it("keeps identifiers only with consent", () => {
    const identity = { hem: "a".repeat(64), gclid: "g" };
    expect(plan([pageview({ identity })]).visits[0]?.identity).toBeUndefined();
    expect(
      plan([pageview({ identity, consent: { analytics: true, identityResolution: true, marketing: true } })]).visits[0]?.identity,
    ).toStrictEqual(identity);
    expect(plan([pageview({ type: "identify", rawEmail: "j@x.com" })]).visits[0]).toMatchObject({ identity: { hem: "sha(j@x.com)" } });
    expect(JSON.stringify(plan([pageview({ type: "identify", rawEmail: "j@x.com" })]).visits)).not.toContain("rawEmail");
  });

  it("does not collect excluded paths and renames by alias", () => {
    const own = site({ excludedPathPrefixes: ["/admin"], aliases: { "Product Added": "add_to_cart" } });
    const result = plan(
      [
        pageview({ page: { path: "/admin/x" } }),
        pageview({ type: "custom", name: "Product Added" }),
        pageview({ type: "custom", name: "toString" }),
      ],
      { site: own },
    );
    expect(result.dropReasons).toStrictEqual({ excluded_path: 1 });
    expect(result.visits.map((visit) => visit.name)).toStrictEqual(["add_to_cart", "toString"]);
  });

  it("tells sites of a backend apart by the page's URL", () => {
    const sites = [site(), site({}, { id: "blog", domains: ["blog.example"] })];
    const many = credential({ keyType: "server", sites });
    const { visits } = plan([pageview(), pageview({ page: { path: "/", url: "https://blog.example/" } })], {
      credential: many,
      siteByUrl: true,
    });
    expect(visits.map((visit) => visit.siteId)).toStrictEqual(["site_1", "blog"]);
  });

  it("carries nothing hostile: unknown members, prototypes, lone surrogates", () => {
    const text = JSON.stringify(pageview({ visitorId: "v\ud800", extra: { x: 1 }, _eid: "\udfff" })).replace(
      "{",
      '{"__proto__":{"polluted":1},"constructor":{},',
    );
    const visit = plan([JSON.parse(text)]).visits[0];
    expect(visit).toMatchObject({ visitorId: "v\ufffd", eid: "\ufffd" });
    expect(JSON.stringify(visit)).not.toMatch(/polluted|extra|\\ud/);
    expect(VisitEvent.safeParse(visit).success).toBe(true);
  });

  it("leaves no half of an address at a cut", () => {
    const label = `${"word ".repeat(101)}jane.doe@example.com and more`;
    const visit = plan([pageview({ type: "custom", name: "x", label, page: { path: `/${"word/".repeat(203)}jane.doe@example.com/z` } })])
      .visits[0];
    expect(visit?.label).toBe(`${"word ".repeat(101)}[email]`);
    expect(JSON.stringify(visit)).not.toContain("jane");
  });

  it("cuts long text instead of refusing it", () => {
    const long = "word ".repeat(1_000);
    const visit = plan([
      pageview({ type: "custom", name: long, label: long, page: { path: `/${long}`, title: long }, device: { userAgent: long } }),
    ]).visits[0];
    expect(visit?.name?.length).toBe(128);
    expect(visit?.path.length).toBe(1_024);
    expect(visit?.title?.length).toBe(512);
    expect(visit?.device.userAgent.length).toBe(512);
  });
});
