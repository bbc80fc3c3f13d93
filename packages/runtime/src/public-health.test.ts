import { HealthAnswer } from "@headwater/protocol";
import { expect, it } from "vitest";
import { publicHealth, systemHealth } from "./public-health.ts";
import type { HealthReport } from "./service.ts";

const up: HealthReport = { status: "up", checks: { nats: { ok: true } } };
const down: HealthReport = { status: "down", checks: { nats: { ok: false, detail: "disconnected" } } };
const auth = (database: boolean): HealthReport => ({
  status: database ? "up" : "degraded",
  checks: { nats: { ok: true }, database: { ok: database } },
});
const NOW = Date.UTC(2026, 0, 30, 12);

it("is ok with every part in the contract's words", () => {
  const answer = publicHealth(systemHealth({ "auth-0": auth(true), "intelligence-0": up, "edge-0": up }), NOW);
  expect(answer).toMatchObject({
    status: "ok",
    timestamp: "2026-01-30T12:00:00.000Z",
    services: { store: "connected", nats: "connected", llm: "not-configured", authentication: "available" },
  });
  expect(HealthAnswer.parse(answer)).toEqual(answer);
});

it.each([
  ["the store is away", { "auth-0": auth(false), "edge-0": up }, "degraded", { store: "disconnected", nats: "connected" }],
  ["one of two instances is gone", { "edge-0": up, "edge-1": down }, "degraded", { nats: "disconnected" }],
  ["the last instance is gone", { "edge-0": down, "auth-0": auth(true) }, "down", { authentication: "available" }],
  ["auth is gone", { "auth-0": down, "edge-0": up }, "down", { authentication: "unavailable" }],
  ["intelligence is gone", { "intelligence-0": down }, "down", { llm: "unavailable" }],
])("when %s", (_name, instances, status, services) => {
  const health = systemHealth(instances);
  expect(health.status).toBe(status);
  expect(publicHealth(health, NOW)).toMatchObject({ status: "degraded", services });
});

it("has llm when intelligence says so", () => {
  const able: HealthReport = { status: "up", checks: { llm: { ok: true } } };
  expect(publicHealth(systemHealth({ intelligence: able }), NOW).services).toEqual({ llm: "available" });
});
