import { expect, it } from "vitest";
import { decodeVisitInputs } from "./visit-inputs.ts";

const visit = {
  v: 1, kind: "visit", tenantId: "t", siteId: "s", keyType: "browser", origin: "sdk", id: "evt_1", type: "pageview", visitorId: "vis_1",
  sessionId: "sess_1", scored: true, ts: 1, et: 1, path: "/", device: { userAgent: "x" },
}; // biome-ignore format: one literal
const encode = (...lines: string[]) => new TextEncoder().encode(lines.join("\n"));

it("decodes visits and privacy commands in order", () => {
  const optout = { v: 1, kind: "optout", tenantId: "t", visitorId: "vis_1", id: "cmd_1", ts: 2 };
  const decoded = decodeVisitInputs(encode(JSON.stringify(visit), JSON.stringify(optout)));
  expect(decoded).toEqual([
    { ok: true, input: visit },
    { ok: true, input: optout },
  ]);
});

it.each([
  ["broken JSON", "{", "not JSON"],
  ["a scalar", "7", "not an object"],
  ["a newer version", JSON.stringify({ ...visit, v: 2 }), "unsupported version 2"],
  ["an unknown kind", JSON.stringify({ ...visit, kind: "poke" }), "unknown kind poke"],
  ["no visitor", JSON.stringify({ ...visit, visitorId: undefined }), "visitorId is missing"],
  ["a time that is no number", JSON.stringify({ ...visit, et: null }), "et is missing"],
  ["no device", JSON.stringify({ ...visit, device: null }), "device is missing"],
])("turns %s into a dead letter and keeps its neighbours", (_name, line, reason) => {
  const decoded = decodeVisitInputs(encode(JSON.stringify(visit), line));
  expect(decoded[0]).toMatchObject({ ok: true });
  expect(decoded[1]).toEqual({ ok: false, reason, raw: line });
});
