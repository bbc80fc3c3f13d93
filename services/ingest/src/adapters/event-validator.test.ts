import { describe, expect, it } from "vitest";
import { createEventValidator } from "./event-validator.ts";

const validate = createEventValidator();
const base = {
  type: "pageview",
  visitorId: "vis_1",
  sessionId: "sess_1",
  timestamp: 1_700_000_000_000,
  page: { path: "/", title: "", url: "https://shop.example/" },
  device: { userAgent: "x", viewport: { width: 1, height: 1 } },
};

describe("event validator", () => {
  it.each([
    ["a full pageview", base],
    ["unknown members", { ...base, extra: { deep: [1] }, page: { ...base.page, more: 1 } }],
    ["null for what is optional", { ...base, consent: null, identity: null, _eid: null, device: { userAgent: "", viewport: null } }],
    ["a click without an element", { ...base, type: "click" }],
    ["a scroll", { ...base, type: "scroll", depth: 0 }],
    ["a form change", { ...base, type: "form", action: "change", fieldCount: 3 }],
    ["a custom event", { ...base, type: "custom", name: "x", properties: { a: { nested: 1 } } }],
    ["an identify with its fields beside type", { ...base, type: "identify", hem: "x" }],
    ["a consent transition without a page", { type: "_consent_transition", visitorId: "v", timestamp: 1, newConsent: { analytics: true } }],
  ])("accepts %s", (_name, event) => {
    expect(validate(event)).toMatchObject({ ok: true });
  });

  it.each([
    ["invalid_event", "an event must be an object", null],
    ["invalid_event", "an event must be an object", [base]],
    ["missing_field", "type is required", { visitorId: "x" }],
    ["unsupported_event_type", 'type "email_open" is not accepted here', { ...base, type: "email_open" }],
    ["unsupported_event_type", 'type "constructor" is not accepted here', { ...base, type: "constructor" }],
    ["unsupported_event_type", "type this value is not accepted here", { ...base, type: 7 }],
    ["missing_field", "visitorId is required", { ...base, visitorId: undefined }],
    ["missing_field", "page.path is required", { ...base, page: { url: "x" } }],
    ["missing_field", "device.userAgent is required", { ...base, device: {} }],
    ["invalid_field", "visitorId must NOT have more than 128 characters", { ...base, visitorId: "v".repeat(129) }],
    ["invalid_field", "visitorId must NOT have fewer than 1 characters", { ...base, visitorId: "" }],
    ...["visitorId", "sessionId", "_eid"].map(
      (name) =>
        ["invalid_field", `${name} must match pattern "^[^\\u0000-\\u001f\\u007f]*$"`, { ...base, [name]: "a\u0000b" }] as [
          string,
          string,
          unknown,
        ],
    ),
    ["invalid_field", "visitorId must be string", { ...base, visitorId: null }],
    ["invalid_field", "timestamp must be number", { ...base, timestamp: "1" }],
    ["invalid_field", "timestamp must be number", { ...base, timestamp: Number.POSITIVE_INFINITY }],
    ["invalid_field", "depth must be <= 100", { ...base, type: "scroll", depth: 101 }],
    ["invalid_field", "action must be one of focus, blur, change, submit, abandon", { ...base, type: "form", action: "x" }],
    ["missing_field", "name is required", { ...base, type: "custom" }],
    ["missing_field", "newConsent is required", { type: "_consent_transition", visitorId: "v", timestamp: 1 }],
  ])("refuses with %s: %s", (code, message, event) => {
    expect(
      validate(JSON.parse(JSON.stringify(event, (_k, v) => (v === Number.POSITIVE_INFINITY ? "@inf" : v)).replace('"@inf"', "1e999"))),
    ).toStrictEqual({
      ok: false,
      code,
      message,
    });
  });

  it("does not look at inherited members", () => {
    expect(validate(JSON.parse('{"__proto__":{"type":"pageview"}}'))).toMatchObject({ code: "missing_field" });
  });
});
