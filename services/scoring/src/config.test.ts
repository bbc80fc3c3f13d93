import { ConfigError } from "@headwater/runtime";
import { expect, it } from "vitest";
import { parseScoringConfig } from "./config.ts";

it("has defaults and no crash point", () => {
  expect(parseScoringConfig({})).toMatchObject({ natsReplicas: 1, snapshotIntervalMs: 10_000, catchUpMs: 500 });
  expect(parseScoringConfig({}).crash).toBeUndefined();
});

it("reads what is set and names what is wrong", () => {
  expect(parseScoringConfig({ CRASH_AT: "mid_snapshot", CRASH_AFTER: "3" }).crash).toEqual({ at: "mid_snapshot", after: 3 });
  expect(() => parseScoringConfig({ CRASH_AT: "never", SCORING_STATE_BYTES: "1" })).toThrow(ConfigError);
});
