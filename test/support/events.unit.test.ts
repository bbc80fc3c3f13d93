/** The generator's events are what the collector's contract asks for, and their ids can be read back. */
import { expect, it } from "vitest";
import { createEventMaker, eventsRequest, formatEventId } from "./events.ts";

it("writes ids that a sink can count by", () => {
  const [run, n = "", tag = "", ...rest] = formatEventId("r1", 123_456, 98_765).split(".");
  expect([run, Number.parseInt(n, 36), Number.parseInt(tag, 36), rest]).toEqual(["r1", 123_456, 98_765, []]);
});
it("makes requests whose length is what their header says", () => {
  const maker = createEventMaker("r1", 10);
  const request = eventsRequest({ host: "127.0.0.1", port: 80, key: "k" }, [maker.event(1, "a", 5), maker.event(11, "b", 6)]);
  const [head = "", body = ""] = request.split("\r\n\r\n");
  expect(head).toContain(`Content-Length: ${Buffer.byteLength(body)}`);
  const { events } = JSON.parse(body) as { events: { visitorId: string; _eid: string; timestamp: number }[] };
  expect(events.map(({ _eid, timestamp }) => [_eid, timestamp])).toEqual([["a", 5], ["b", 6]]); // biome-ignore format: short
  expect(events[0]?.visitorId).toBe(events[1]?.visitorId);
});
