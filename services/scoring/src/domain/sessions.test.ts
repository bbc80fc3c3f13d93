import { describe, expect, it } from "vitest";
import { foldAll, script, T0, visit } from "./fixtures.ts";
import { newVisitorState, type VisitorState } from "./visitor-state.ts";

const MINUTE = 60_000;

function views(state: VisitorState, ...visits: readonly (readonly [sessionId: string, minute: number])[]): void {
  foldAll(
    state,
    visits.map(([sessionId, minute], i) => visit({ id: `e${i}`, sessionId, et: T0 + minute * MINUTE, ts: T0 + minute * MINUTE })),
  );
}

const live = (state: VisitorState): [string, number][] => state.live.map((session) => [session.id, session.pageviews]);

describe("sessions", () => {
  it("go on over pauses of up to 30 minutes", () => {
    const state = newVisitorState();
    views(state, ["a", 0], ["a", 30]);
    expect(live(state)).toStrictEqual([["a", 2]]);
    expect(state.closed).toHaveLength(0);
  });

  it("start afresh under the same id after more than 30 minutes", () => {
    const state = newVisitorState();
    views(state, ["a", 0], ["a", 1], ["a", 32]);
    expect(live(state)).toStrictEqual([["a", 1]]);
    expect(state.closed).toMatchObject([{ startAt: T0, endAt: T0 + MINUTE, kinds: 1, bought: false }]);
  });

  it("end after 24 hours even without a pause", () => {
    const state = newVisitorState();
    views(state, ...Array.from({ length: 73 }, (_, i) => ["a", i * 20] as const));
    expect(live(state)).toStrictEqual([["a", 73]]);
    views(state, ["a", 73 * 20]);
    expect(live(state)).toStrictEqual([["a", 1]]);
  });

  it("interleave by id", () => {
    const state = newVisitorState();
    views(state, ["a", 0], ["b", 1], ["a", 2], ["b", 3], ["a", 4]);
    expect(live(state)).toStrictEqual([
      ["b", 2],
      ["a", 3],
    ]);
  });

  it("end oldest first when more than four run at once", () => {
    const state = newVisitorState();
    views(state, ["a", 0], ["b", 1], ["c", 2], ["d", 3], ["e", 4]);
    expect(live(state).map(([id]) => id)).toStrictEqual(["b", "c", "d", "e"]);
    expect(state.closed).toHaveLength(1);
  });

  it("score an older event as simultaneous with the last one", () => {
    const state = newVisitorState();
    views(state, ["a", 10], ["a", 2]);
    expect(state.live[0]).toMatchObject({ pageviews: 2, lastAt: T0 + 10 * MINUTE, gaps: [0], activeMs: 0 });
  });

  it("keep eight ended sessions and the revenue of all", () => {
    const state = newVisitorState();
    for (let i = 0; i < 12; i++) {
      foldAll(
        state,
        script("0 pv /; 1 cu purchase 50", {}).map((event) => ({ ...event, et: event.et + i * 60 * MINUTE })),
      );
    }
    expect(state.closed).toHaveLength(8);
    expect(state.revenue).toBe(11 * 50);
    expect(state.closed.every((session) => session.bought)).toBe(true);
  });
});
