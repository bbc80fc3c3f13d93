import { describe, expect, it } from "vitest";
import { T0 } from "./fixtures.ts";
import { historyOf } from "./history.ts";
import { type ClosedSession, newSession, newVisitorState, type VisitorState } from "./visitor-state.ts";

const DAY = 86_400_000;
const closed = (daysAgo: number, overrides: Partial<ClosedSession> = {}): ClosedSession => ({
  startAt: T0 - daysAgo * DAY,
  endAt: T0 - daysAgo * DAY + 100_000,
  engagement: 50,
  frustration: 0,
  kinds: 4,
  bought: false,
  ...overrides,
});
const visitor = (...sessions: ClosedSession[]): VisitorState => ({ ...newVisitorState(), closed: sessions });
const history = (state: VisitorState, engagement = 50): ReturnType<typeof historyOf> => historyOf(state, newSession("s", T0), engagement);

describe("history", () => {
  it.each([[visitor()], [visitor(closed(3))]])("is neutral with fewer than two ended sessions", (state) => {
    expect(history(state)).toMatchObject({ visitFrequencyDrop: 0.1, engagementDrop: 0.1, featureDrop: 0.1, durationDrop: 0.1 });
  });

  it("counts returns of the last seven days only", () => {
    expect(history(visitor(closed(9), closed(6), closed(1))).returning).toBeCloseTo(2 / 3, 9);
  });

  it("sees visits growing rarer, and nothing when they are regular", () => {
    expect(history(visitor(closed(12), closed(11), closed(9))).visitFrequencyDrop).toBe(1);
    expect(history(visitor(closed(3), closed(2), closed(1))).visitFrequencyDrop).toBe(0);
    expect(history(visitor(closed(0), closed(0))).visitFrequencyDrop).toBe(0);
  });

  it("compares this session with the visitor's own habit", () => {
    const state = visitor(closed(2), closed(1));
    expect(history(state, 10).engagementDrop).toBeCloseTo(0.8, 9);
    expect(history(state)).toMatchObject({ featureDrop: 1, durationDrop: 1 });
  });

  it("draws the conversion rate towards the neutral one while there is little to go by", () => {
    expect(history(visitor()).conversionRate).toBeCloseTo(0.1, 9);
    expect(history(visitor(closed(1, { bought: true }))).conversionRate).toBeCloseTo(2 / 11, 9);
    expect(history(visitor(closed(1))).lastFrustration).toBe(0);
    expect(history(visitor()).lastFrustration).toBeUndefined();
  });
});
