/** Acknowledgement subjects in both forms, and what is not one. */
import { expect, it } from "vitest";
import { parseDelivery } from "./delivery.ts";

const EXPECTED = { consumer: "r_1", streamSeq: 345, consumerSeq: 7, timeMs: 1_713_797_640_123, pending: 9 };

it.each([
  ["short form", "$JS.ACK.SIGNALS.r_1.1.345.7.1713797640123456789.9"],
  ["long form", "$JS.ACK._.acc.SIGNALS.r_1.1.345.7.1713797640123456789.9"],
  ["long form with token", "$JS.ACK.hub.acc.SIGNALS.r_1.1.345.7.1713797640123456789.9.tok3n"],
])("reads the %s", (_name, subject) => expect(parseDelivery(subject)).toEqual(EXPECTED));

it.each(["", "visits.3", "$JS.ACK", "$JS.API.INFO", "$JS.ACK.a.b.c", "$JS.ACK.S.r.1.2.3.4.5.6", "$JS.ACK.S.r.1.345.7.12.9"])(
  "does not take %j for one",
  (subject) => expect(parseDelivery(subject)).toBeUndefined(),
);
