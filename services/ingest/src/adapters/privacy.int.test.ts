import { ERRORS, type ErrorCode } from "@headwater/protocol";
import { privacyKeyOf } from "@headwater/runtime";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Harness, PRIVACY_KEY, type Sent, startHarness } from "../testing/harness.ts";
import { credential, pageview, site } from "../testing/samples.ts";

const keys = {
  gdpr: { ok: true as const, credential: credential({ sites: [site({ preset: "gdpr_strict" })] }) },
  other: { ok: true as const, credential: credential({ keyId: "key_2", tenantId: "ten_2" }) },
};
const event = (overrides: Record<string, unknown> = {}) => pageview({ timestamp: Date.now(), ...overrides });
const transition = (visitorId: string, newConsent: object) => ({
  type: "_consent_transition",
  visitorId,
  timestamp: Date.now(),
  newConsent,
});
const receipt = (overrides: Record<string, unknown> = {}) => ({
  consentState: { necessary: true, analytics: true, marketing: false, thirdParty: false },
  consentVersion: "v3",
  consentMethod: "cmp_onetrust",
  timestamp: Date.now(),
  ...overrides,
});

describe("consent", () => {
  let h: Harness;
  beforeAll(async () => {
    h = await startHarness({ keys });
  });
  afterAll(() => h.stop());
  const gdpr = { "X-API-Key": "gdpr" };
  const outcome = async (visitorId: string, headers: Record<string, string> = {}) =>
    (await h.send({ headers, body: { events: [event({ visitorId })] } })).body["accepted"] === 1 ? "kept" : "dropped";

  it("stores a transition as an audit record without the visitor's id (P4)", async () => {
    const visitorId = "vis_transition0000000000";
    const sent = {
      ...transition(visitorId, { analytics: false, marketing: false }),
      previousConsent: { analytics: true },
      method: "manual",
      gpc: true,
    };
    const answer = await h.send({ body: { events: [sent] } });
    expect([answer.status, answer.body["accepted"]]).toStrictEqual([202, 1]);
    expect(await h.records("CONSENTS")).toStrictEqual([
      {
        v: 1,
        key: privacyKeyOf(PRIVACY_KEY, "ten_1", visitorId),
        tenantId: "ten_1",
        siteId: "site_1",
        ts: expect.any(Number),
        source: "transition",
        analytics: false,
        marketing: false,
        previous: { analytics: true },
        method: "manual",
        gpc: true,
      },
    ]);
    expect(JSON.stringify(await h.records("CONSENTS"))).not.toContain(visitorId);
    expect((await h.stored()).filter((input) => input.visitorId === visitorId)).toStrictEqual([]);
  });

  it("counts for the very next event, both ways", async () => {
    const visitorId = "vis_next";
    expect(await outcome(visitorId)).toBe("kept");
    await h.send({ body: { events: [transition(visitorId, { analytics: false })] } });
    expect(await outcome(visitorId)).toBe("dropped");
    expect(await outcome(visitorId, { "X-API-Key": "other" })).toBe("kept");
    await h.send({ body: { events: [transition(visitorId, { analytics: true })] } });
    expect(await outcome(visitorId)).toBe("kept");
    expect(await outcome("vis_asked", gdpr)).toBe("dropped");
    expect((await h.send({ path: "/v1/consent/receipt", headers: gdpr, body: receipt({ visitorId: "vis_asked" }) })).status).toBe(202);
    expect(await outcome("vis_asked", gdpr)).toBe("kept");
  });

  it("names the visitor of a receipt by its cookie when the body does not", async () => {
    const headers = { ...gdpr, Cookie: "_cs_uid=vis_cookie" };
    const answer = await h.send({ path: "/v1/consent/receipt", headers, body: receipt() });
    expect(answer.body).toStrictEqual({ receiptId: expect.any(String), recordedAt: expect.any(Number) });
    expect(await outcome("vis_cookie", gdpr)).toBe("kept");
    expect((await h.send({ path: "/v1/consent/receipt", headers: gdpr, body: receipt() })).body).toMatchObject({
      error: "invalid_request",
    });
  });

  it("tells an SDK the site's settings", async () => {
    const answer = await h.send({ method: "GET", path: "/v1/consent/config?key=gdpr", headers: { "X-API-Key": "", "Content-Type": "" } });
    expect(answer.status).toBe(200);
    expect(answer.body).toStrictEqual({
      siteId: "site_1",
      preset: "gdpr_strict",
      mode: "opt-in",
      scrub: "aggressive",
      honoursGpc: true,
      honoursDnt: true,
      defaults: { analytics: false, identity: false, marketing: false },
      consentCookie: { name: "_cs_consent", maxAgeSeconds: 31_536_000 },
      excludedPathPrefixes: [],
    });
  });

  it.each<[string, Sent, ErrorCode]>([
    ["a receipt without a key", { path: "/v1/consent/receipt", headers: { "X-API-Key": "" }, body: receipt() }, "missing_api_key"],
    ["a receipt without a state", { path: "/v1/consent/receipt", body: { visitorId: "v" } }, "invalid_request"],
    [
      "a receipt with text for a flag",
      { path: "/v1/consent/receipt", body: { visitorId: "v", consentState: { analytics: "yes" } } },
      "invalid_request",
    ],
    ["GET of receipts", { method: "GET", path: "/v1/consent/receipt" }, "method_not_allowed"],
    ["POST of settings", { path: "/v1/consent/config", body: {} }, "method_not_allowed"],
    [
      "an opt-out with the key in the URL",
      { path: "/v1/optout?key=browser", headers: { "X-API-Key": "" }, body: { visitorId: "v" } },
      "invalid_request",
    ],
    ["an opt-out of nobody", { path: "/v1/optout", body: {} }, "invalid_request"],
    ["an opt-out of a number", { path: "/v1/optout", body: { visitorId: 7 } }, "invalid_request"],
    ["an opt-out of a novel", { path: "/v1/optout", body: { visitorId: "v".repeat(129) } }, "invalid_request"],
    ["GET of opt-outs", { method: "GET", path: "/v1/optout" }, "method_not_allowed"],
    ["POST on an opted-out visitor", { path: "/v1/optout/v", body: {} }, "method_not_allowed"],
    ["an unknown key", { method: "DELETE", path: "/v1/optout/v", headers: { "X-API-Key": "x" } }, "invalid_api_key"],
  ])("refuses %s", async (_name, request, code) => {
    const answer = await h.send(request);
    expect([answer.status, answer.body["error"]]).toStrictEqual([ERRORS[code].status, code]);
  });

  it("reads every earlier decision before it accepts anything after a restart", async () => {
    const visitorId = "vis_restart";
    await h.send({ body: { events: [transition(visitorId, { analytics: false })] } });
    const second = await startHarness({ keys, nats: h.nats });
    const answer = await second.send({ body: { events: [event({ visitorId })] } });
    await second.stop();
    expect(answer.body["dropReasons"]).toStrictEqual({ no_consent: 1 });
  });
});

describe("opt-out", () => {
  let h: Harness;
  afterEach(() => h.stop());

  it("is acknowledged when the erasure is visible, and drops from then on until withdrawn", async () => {
    h = await startHarness({ keys });
    h.answerErasures();
    const visitorId = "vis_out/ä";
    const post = () => h.send({ body: { events: [event({ visitorId })] } });
    expect((await post()).body["accepted"]).toBe(1);
    const out = await h.send({ path: "/v1/optout", body: { visitorId } });
    expect([out.status, out.body]).toStrictEqual([202, { visitorId, optedOut: true }]);
    expect((await post()).body["dropReasons"]).toStrictEqual({ opted_out: 1 });
    expect((await h.send({ headers: { "X-API-Key": "other" }, body: { events: [event({ visitorId })] } })).body["accepted"]).toBe(1);
    const again = await h.send({ path: "/v1/optout", body: { visitorId } });
    expect(again.status).toBe(202);
    const back = await h.send({ method: "DELETE", path: `/v1/optout/${encodeURIComponent(visitorId)}` });
    expect([back.status, back.body]).toStrictEqual([202, { visitorId, optedOut: false }]);
    expect((await post()).body["accepted"]).toBe(1);
    expect((await h.stored()).map((input) => input.kind)).toStrictEqual(expect.arrayContaining(["visit", "optout", "optin"]));
  });

  it("answers 503 when the fold does not answer in time", async () => {
    h = await startHarness({ keys, config: { erasureTimeoutMs: 100 } });
    const answer = await h.send({ path: "/v1/optout", body: { visitorId: "vis_slow" } });
    expect([answer.status, answer.body["error"], answer.headers["retry-after"]]).toStrictEqual([503, "overloaded", "1"]);
  });

  it("is refused when the memory for opt-outs is used up, and says so in its health", async () => {
    h = await startHarness({ keys, config: { privacyEntries: 1 } });
    h.answerErasures();
    expect((await h.send({ path: "/v1/optout", body: { visitorId: "a" } })).status).toBe(202);
    expect((await h.send({ path: "/v1/optout", body: { visitorId: "b" } })).status).toBe(503);
    expect((await h.send({ path: "/v1/optout", body: { visitorId: "a" } })).status).toBe(202);
    const denial = (visitorId: string) => h.send({ body: { events: [transition(visitorId, { analytics: false })] } });
    expect([(await denial("a")).status, (await denial("b")).status]).toStrictEqual([202, 503]);
    expect((await h.send({ body: { events: [transition("b", { analytics: true })] } })).status).toBe(202);
  });
});
