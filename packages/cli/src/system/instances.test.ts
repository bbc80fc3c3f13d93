import type { ServiceInstance } from "@headwater/messaging";
import { describe, expect, it } from "vitest";
import { everyInstance, instanceStatus, laneOwners, overall } from "./instances.ts";

const found = (instance: string, status: Record<string, unknown>): ServiceInstance => ({
  service: instance.replace(/-\d+$/, ""),
  instance,
  version: "0.1.0",
  started: "2026-01-01T00:00:00.000Z",
  metadata: { pid: "42" },
  status,
  endpoints: [],
});
const now = Date.parse("2026-01-01T00:01:00.000Z");
const lane = (n: number, epoch: number) => ({ lane: n, state: "live", epoch, in: 5, lag: 1, bytes: 9 });

describe("instanceStatus", () => {
  it("takes lanes and registry out of what the instance reports", () => {
    expect(instanceStatus(found("scoring-0", { lanes: [lane(2, 7)], registry: 3, scoringVersion: "s1" }), new Map(), now)).toEqual({
      service: "scoring",
      instance: "scoring-0",
      version: "0.1.0",
      pid: 42,
      started: "2026-01-01T00:00:00.000Z",
      uptimeMs: 60_000,
      state: "up",
      problems: [],
      lanes: [{ lane: 2, state: "live", epoch: 7, in: 5, lag: 1 }],
      registry: 3,
      details: { scoringVersion: "s1" },
    });
  });
  it("believes the admin listener about health", () => {
    const health = new Map([["auth-0", { status: "degraded" as const, problems: ["database"] }]]);
    expect(instanceStatus(found("auth-0", {}), health, now)).toMatchObject({
      state: "degraded",
      problems: ["database"],
      lanes: [],
      registry: null,
    });
  });
});

it("shows every owner of a lane, also when there are two", () => {
  const instances = [found("scoring-0", { lanes: [lane(3, 9), lane(1, 4)] }), found("scoring-1", { lanes: [lane(3, 8)] })];
  const owners = laneOwners(instances.map((instance) => instanceStatus(instance, new Map(), now)));
  expect(owners.map((row) => [row.family, row.lane, row.owner, row.epoch])).toEqual([
    ["visits", 1, "scoring-0", 4],
    ["visits", 3, "scoring-0", 9],
    ["visits", 3, "scoring-1", 8],
  ]);
});

describe("a system with gaps", () => {
  const health = new Map([
    ["auth-0", { status: "down" as const, problems: ["admin listener"] }],
    ["auth-1", { status: "up" as const, problems: [] }],
  ]);
  it("shows instances that should be there and do not answer", () => {
    const rows = everyInstance([found("auth-1", {})], health, now);
    expect(rows.map((row) => [row.instance, row.service, row.state, row.problems])).toEqual([
      ["auth-0", "auth", "down", ["no answer", "admin listener"]],
      ["auth-1", "auth", "up", []],
    ]);
  });
  it.each([
    ["up", ["auth-1"], ["auth"]],
    ["degraded", ["auth-0", "auth-1"], ["auth"]],
    ["down", ["auth-0"], ["auth"]],
    ["down", ["auth-1"], ["auth", "edge"]],
  ])("is %s with %j", (expected, names, services) => {
    const rows = names.map((name) => instanceStatus(found(name, {}), health, now));
    expect(overall(rows, services)).toBe(expected);
  });
});
