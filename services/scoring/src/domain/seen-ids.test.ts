import { describe, expect, it } from "vitest";
import { T0 } from "./fixtures.ts";
import { rememberEventId } from "./seen-ids.ts";
import { newVisitorState } from "./visitor-state.ts";

const HOUR = 3_600_000;

describe("duplicate memory", () => {
  it("knows an id for 24 hours and forgets it after 25", () => {
    const state = newVisitorState();
    expect(rememberEventId(state, "a", T0)).toBe(true);
    expect(rememberEventId(state, "a", T0 + 24 * HOUR)).toBe(false);
    expect(rememberEventId(state, "b", T0 + 25 * HOUR + 1)).toBe(true);
    expect(rememberEventId(state, "a", T0 + 25 * HOUR + 1)).toBe(true);
  });

  it("leaves the state alone on a repeat", () => {
    const state = newVisitorState();
    rememberEventId(state, "a", T0);
    const before = JSON.stringify(state);
    rememberEventId(state, "a", T0 + 5 * HOUR);
    expect(JSON.stringify(state)).toBe(before);
  });

  it("accepts receive times that step back", () => {
    const state = newVisitorState();
    rememberEventId(state, "a", T0 + HOUR);
    expect(rememberEventId(state, "b", T0)).toBe(true);
    expect(rememberEventId(state, "b", T0 + HOUR)).toBe(false);
  });

  it("keeps the newest thousand ids", () => {
    const state = newVisitorState();
    for (let i = 0; i < 2_500; i++) rememberEventId(state, `e${i}`, T0 + i * 10_000);
    expect(state.seen.reduce((bytes, hour) => bytes + hour.ids.length, 0)).toBe(8_000);
    const last = T0 + 2_500 * 10_000;
    expect(rememberEventId(state, "e2499", last)).toBe(false);
    expect(rememberEventId(state, "e1500", last)).toBe(false);
    expect(rememberEventId(state, "e1400", last)).toBe(true);
  });
});
