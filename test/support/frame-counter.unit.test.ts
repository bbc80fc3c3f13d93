/** The sinks' two readers see the same messages however the bytes are cut. */
import { expect, it } from "vitest";
import { textFrame } from "../bench/baselines/text-frame.ts";
import { createFrameCounter } from "./frame-counter.ts";
import { frameReader } from "./ws-client.ts";

const sizes = [0, 5, 125, 126, 300, 65_535, 65_536, 70_000, 126];
const stream = Buffer.concat(sizes.map((size) => textFrame(Buffer.alloc(size, 120))));

it.each([1, 2, 3, 7, 64, 1_000, stream.length])("counts large messages in chunks of %i bytes", (chunk) => {
  const counter = createFrameCounter();
  for (let at = 0; at < stream.length; at += chunk) counter.feed(stream.subarray(at, at + chunk));
  expect(counter.large()).toBe(sizes.filter((size) => size >= 126).length);
});

it.each([1, 3, 64, 1_000, stream.length])("reads every message in chunks of %i bytes", (chunk) => {
  const seen: number[] = [];
  const read = frameReader({ onMessage: (payload) => void seen.push(payload.length) });
  for (let at = 0; at < stream.length; at += chunk) read(stream.subarray(at, at + chunk));
  expect(seen).toEqual(sizes);
});

it("reports a close frame and reads nothing behind it", () => {
  const closes: string[] = [];
  const read = frameReader({
    onMessage: () => void closes.push("message"),
    onClose: (code, reason) => void closes.push(`${code} ${reason}`),
  });
  const reason = Buffer.from("\u0003\u00f3slow_consumer", "latin1");
  read(Buffer.concat([Buffer.from([0x88, reason.length]), reason, textFrame(Buffer.from("late"))]));
  expect(closes).toEqual(["1011 slow_consumer"]);
});
