import { describe, expect, it } from "vitest";
import { onClose, onFrame, reconnectDelayMs } from "./session.ts";

describe("onFrame", () => {
  const event = '{"type":"event","ts":1,"hasIdentified":false,"cursor":"c1_x","seq":4}';
  it("prints events without the cursor nobody asked for, and remembers it", () => {
    expect(onFrame(event, false, 0)).toEqual({ kind: "event", line: '{"type":"event","ts":1,"hasIdentified":false}', cursor: "c1_x" });
    expect(onFrame(event, true, 0)).toEqual({ kind: "event", line: event, cursor: "c1_x" });
  });
  it("answers heartbeats", () => {
    expect(onFrame('{"type":"ping","timestamp":5}', false, 9)).toEqual({ kind: "answer", text: '{"type":"pong","timestamp":9}' });
  });
  it.each([
    ['{"type":"hello","message":"Signals Feed connected"}', "Signals Feed connected"],
    ['{"type":"gap","reason":"retention"}', '{"type":"gap","reason":"retention"}'],
    ["{", "a message that is not JSON was skipped"],
  ])("%s is for the person", (text, note) => {
    expect(onFrame(text, false, 0)).toEqual({ kind: "note", text: note });
  });
});

it.each([
  [1000, "done"],
  [1006, "again"],
  [1011, "again"],
  [1012, "again"],
  [4000, "again"],
  [4008, "again"],
  [1003, "give_up"],
  [1008, "give_up"],
  [4003, "give_up"],
])("close %d → %s", (code, effect) => {
  expect(onClose(code)).toBe(effect);
});

it("backs off up to 30 s", () => {
  expect([0, 1, 2, 20].map((attempt) => reconnectDelayMs(attempt, 1))).toEqual([500, 1_000, 2_000, 30_000]);
  expect(reconnectDelayMs(5, 0)).toBe(0);
});
