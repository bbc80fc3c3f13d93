import type { VisitEvent } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { foldAll, T0, visit } from "./fixtures.ts";
import { FRUSTRATION, newVisitorState } from "./visitor-state.ts";

type Click = readonly [ms: number, x: number, y: number];

function bursts(clicks: readonly Click[], element: Partial<NonNullable<VisitEvent["element"]>> = {}, path = "/"): number {
  const state = newVisitorState();
  foldAll(
    state,
    clicks.map(([ms, x, y], i) => visit({ id: `c${i}`, type: "click", et: T0 + ms, path, element: { selector: "#b", x, y, ...element } })),
  );
  // Counters fade between clicks; the number of bursts is the nearest whole number above.
  return Math.ceil(state.live[0]?.frustration[FRUSTRATION.rage] ?? 0);
}

describe("rage bursts", () => {
  it.each<[string, readonly Click[], number]>([
    [
      "three quick clicks on one spot",
      [
        [0, 5, 5],
        [300, 6, 6],
        [600, 7, 7],
      ],
      1,
    ],
    [
      "clicks exactly at the limits",
      [
        [0, 0, 0],
        [1_000, 30, 0],
        [2_000, 60, 0],
      ],
      1,
    ],
    [
      "a pause beyond a second",
      [
        [0, 0, 0],
        [1_001, 0, 0],
        [2_002, 0, 0],
      ],
      0,
    ],
    [
      "clicks too far apart",
      [
        [0, 0, 0],
        [100, 31, 0],
        [200, 62, 0],
      ],
      0,
    ],
    [
      "two clicks",
      [
        [0, 0, 0],
        [100, 0, 0],
      ],
      0,
    ],
    [
      "five clicks, one burst, because the buffer starts anew",
      [
        [0, 0, 0],
        [100, 0, 0],
        [200, 0, 0],
        [300, 0, 0],
        [400, 0, 0],
      ],
      1,
    ],
    [
      "six clicks",
      [
        [0, 0, 0],
        [1, 0, 0],
        [2, 0, 0],
        [3, 0, 0],
        [4, 0, 0],
        [5, 0, 0],
      ],
      2,
    ],
  ])("%s", (_, clicks, expected) => expect(bursts(clicks)).toBe(expected));

  const quick: readonly Click[] = [
    [0, 5, 5],
    [100, 5, 5],
    [200, 5, 5],
  ];
  it.each([
    [{ text: " Next " }],
    [{ text: "›" }],
    [{ tagName: "SELECT" }],
    [{ tagName: "video" }],
    [{ tagName: "input", inputType: "number" }],
    [{ tagName: "input", inputType: "range" }],
  ])("are not counted on %j", (element) => expect(bursts(quick, element)).toBe(0));

  it("need one page", () => {
    const state = newVisitorState();
    foldAll(
      state,
      ["/a", "/b", "/a"].map((path, i) => visit({ id: `c${i}`, type: "click", et: T0 + i * 100, path, element: { x: 1, y: 1 } })),
    );
    expect(state.live[0]?.frustration[FRUSTRATION.rage]).toBe(0);
  });
});
