import { describe, expect, it } from "vitest";
import vectors from "../vectors/visit-events.json" with { type: "json" };
import { VISIT_TYPES, VisitInput } from "./visit-event.ts";

describe("lines of visits.<lane>", () => {
  it.each(vectors.accepted)("$name parses to itself", ({ value }) => {
    expect(VisitInput.parse(JSON.parse(JSON.stringify(value)))).toEqual(value);
  });
  it.each(vectors.refused)("refused: $name", ({ value }) => expect(VisitInput.safeParse(value).success).toBe(false));
  it("knows exactly the types of the feed", () => {
    expect(VISIT_TYPES).toEqual(["pageview", "click", "scroll", "form", "custom", "identify"]);
  });
  it("drops what this version does not know", () => {
    const [first] = vectors.accepted;
    expect(VisitInput.parse({ ...first?.value, later: 1 })).toEqual(first?.value);
  });
});
