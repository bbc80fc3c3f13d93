import { expect, it } from "vitest";
import { isPageView, type RecordedRequest, toVisitorEvent } from "./traffic.ts";

const row: RecordedRequest = {
  visitor: "v1",
  method: "GET",
  path: "/blog/tags/puppet?flav=rss20",
  status: 200,
  referrer: "-",
  ua: "Mozilla/5.0",
};

it.each([
  ["a page", {}, true],
  ["a style sheet", { path: "/reset.css" }, false],
  ["an image with a query", { path: "/a.png?x=1" }, false],
  ["a post", { method: "POST" }, false],
  ["a missing page", { status: 404 }, false],
  ["no user agent", { ua: "-" }, false],
])("%s is a page view: %s", (_name, change, expected) => expect(isPageView({ ...row, ...change })).toBe(expected));

it("gives each round its own session of the same visitor", () => {
  const first = toVisitorEvent(row, 0, 1_000);
  expect(first).toMatchObject({ type: "pageview", visitorId: "vis_demo_v1", timestamp: 1_000, page: { path: "/blog/tags/puppet" } });
  expect(first["page"]).not.toHaveProperty("referrer");
  expect(toVisitorEvent(row, 1, 2_000)["sessionId"]).not.toBe(first["sessionId"]);
});
