import { expect, it } from "vitest";
import { eventTime } from "./event-time.ts";

const now = 1_700_000_000_000;
const minute = 60_000;
const day = 86_400_000;

it.each([
  ["on time", now - 3_000, undefined, now - 3_000],
  ["clock two hours ahead (P9)", now + 120 * minute, undefined, now],
  ["clock two hours behind", now - 120 * minute, undefined, now],
  ["five minutes ahead is believed", now + 5 * minute, undefined, now + 5 * minute],
  ["a batch sent late by a wrong clock", 1_000, 6_000, now - 5_000],
  ["sentAt two hours off does not matter", now + 120 * minute - 4_000, now + 120 * minute, now - 4_000],
  ["slightly after sentAt", now + 1_000, now, now + 1_000],
  ["far after sentAt is clamped", now + 6 * minute, now, now],
  ["exactly 7 days", now - 7 * day, now, now - 7 * day],
])("%s", (_name, timestamp, sentAt, et) => {
  expect(eventTime(timestamp, sentAt, now)).toStrictEqual({ ok: true, et });
});

it.each([
  [now - 7 * day - 1, undefined],
  [now - 8 * day, now],
])("refuses %d with sentAt %s", (timestamp, sentAt) => {
  expect(eventTime(timestamp, sentAt, now)).toStrictEqual({ ok: false, code: "event_too_old" });
});
