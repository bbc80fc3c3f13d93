import { describe, expect, it } from "vitest";
import plans from "../vectors/plans.json" with { type: "json" };
import scopes from "../vectors/scopes.json" with { type: "json" };
import { limitsOf, lowestPlanWith, PLAN_LIMITS, PLANS, PlanLimits } from "./plans.ts";
import { hasScope, SCOPES } from "./scopes.ts";

describe("plans", () => {
  it.each(plans.published)("published limits of $plan", ({ plan, ...limits }) => {
    const name = PLANS.find((p) => p === plan);
    expect(name && PLAN_LIMITS[name]).toMatchObject(limits);
  });
  it("every plan is published and complete", () => {
    expect(plans.published.map((p) => p.plan)).toEqual([...PLANS]);
    for (const plan of PLANS) expect(PlanLimits.parse(PLAN_LIMITS[plan])).toEqual(PLAN_LIMITS[plan]);
  });
  it("a higher plan never allows less", () => {
    for (let i = 1; i < PLANS.length; i++) {
      const lower = PLAN_LIMITS[PLANS[i - 1] ?? "free"];
      const higher = PLAN_LIMITS[PLANS[i] ?? "free"];
      for (const name of Object.keys(lower) as (keyof PlanLimits)[]) {
        // The only limit where less is more: time between two reads.
        if (name === "snapshotMinIntervalMs") expect(Number(higher[name]), name).toBeLessThanOrEqual(Number(lower[name]));
        else expect(Number(higher[name]), name).toBeGreaterThanOrEqual(Number(lower[name]));
      }
    }
  });
  it.each(plans.lowest)("$capability starts at $plan", ({ capability, plan }) => {
    const names = ["snapshotRead", "behaviouralScores", "feedRead", "feedWrite"] as const;
    const name = names.find((n) => n === capability);
    expect(name && lowestPlanWith(name)).toBe(plan);
  });
  it("overrides win, absent ones do not", () => {
    expect(limitsOf("free", { feedConnections: 2, feeds: undefined })).toEqual({ ...PLAN_LIMITS.free, feedConnections: 2 });
    expect(limitsOf("free")).toEqual(PLAN_LIMITS.free);
  });
});

describe("scopes", () => {
  it.each(scopes.cases)("$granted, $needed: $has", ({ granted, needed, has }) => {
    const scope = SCOPES.find((s) => s === needed);
    expect(scope !== undefined && hasScope(granted, scope)).toBe(has);
  });
});
