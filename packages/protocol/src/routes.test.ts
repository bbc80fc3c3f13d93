import { describe, expect, it } from "vitest";
import vectors from "../vectors/routes.json" with { type: "json" };
import { ROUTES, routeOf } from "./routes.ts";

describe("route table", () => {
  it.each(vectors.paths)("$path → $owner", ({ path, owner, kind }) => {
    const route = routeOf(path);
    expect({ owner: route?.owner ?? null, kind: route?.kind ?? null }).toEqual({ owner, kind });
  });
  it("has no row that an earlier row hides", () => {
    for (const route of ROUTES) {
      const example = route.path.replace(/[:*][A-Za-z]+/g, "x");
      expect(routeOf(example), route.path).toBe(route);
    }
  });
  it("has a vector for every row", () => {
    const reached = new Set(vectors.paths.map(({ path }) => routeOf(path)));
    for (const route of ROUTES) expect(reached.has(route), route.path).toBe(true);
  });
});
