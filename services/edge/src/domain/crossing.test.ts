import type { LabelExt } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { label } from "../testing/labels.ts";
import { CrossingDetector } from "./crossing.ts";

/** Events of one visitor whose intent takes these values; `pv` as scoring writes it. */
function intents(values: readonly number[], visitor = "vis_1", before?: number): LabelExt[] {
  let previous = before;
  return values.map((intent) => {
    const event = label({ v: visitor, sc: [intent], ...(previous === undefined ? {} : { pv: [previous] }) }).ext;
    previous = intent;
    return event;
  });
}
const alerts = (detector: CrossingDetector, events: readonly LabelExt[]) =>
  events.filter((event) => detector.observe(event)).map((event) => event.sc?.[0]);

describe("crossing", () => {
  it("F15: 60, 72, 75, 64, 71 alerts twice", () => {
    const detector = new CrossingDetector([{ score: "intent", threshold: 70 }], 1);
    expect(alerts(detector, intents([60, 72, 75, 64, 71]))).toEqual([72, 71]);
  });

  it("does not re-arm inside the hysteresis band", () => {
    const detector = new CrossingDetector([{ score: "intent", threshold: 70 }], 1);
    expect(alerts(detector, intents([72, 68, 71, 66, 70, 65, 70]))).toEqual([72, 70]);
  });

  it("starts from the previous score of an event it sees first", () => {
    const detector = new CrossingDetector([{ score: "intent", threshold: 70 }], 1);
    expect(alerts(detector, intents([75, 76], "vis_1", 71))).toEqual([]);
    expect(alerts(detector, intents([75], "vis_2", 60))).toEqual([75]);
  });

  it("keeps visitors apart and alerts anew in a new session", () => {
    const detector = new CrossingDetector([{ score: "intent", threshold: 70 }], 1);
    expect(alerts(detector, [...intents([80], "a"), ...intents([80], "b"), ...intents([80], "a")])).toEqual([80, 80, 80]);
  });

  it("watches several scores and ignores unscored events", () => {
    const detector = new CrossingDetector(
      [
        { score: "intent", threshold: 70 },
        { score: "frustration", threshold: 50 },
      ],
      1,
    );
    const { sc: _sc, ...unscored } = label().ext;
    expect(detector.observe(unscored)).toBe(false);
    expect(detector.observe(label({ sc: [10, 60], pv: [10, 40] }).ext)).toBe(true);
  });

  it("scales momentum with the dialect", () => {
    const detector = new CrossingDetector([{ score: "sessionMomentum", threshold: 50 }], 2);
    const momentum = (now: number, before: number) => label({ sc: [0, 0, 0, 0, 0, 0, 0, now], pv: [0, 0, 0, 0, 0, 0, 0, before] }).ext;
    expect(detector.observe(momentum(0.51, 0.4))).toBe(true);
    expect(detector.observe(momentum(0.48, 0.51))).toBe(false);
    expect(detector.observe(momentum(0.52, 0.48))).toBe(false);
  });

  it("agrees with a model that remembers every visitor", () => {
    const detector = new CrossingDetector([{ score: "intent", threshold: 70 }], 1);
    const armed = new Map<string, boolean>();
    const last = new Map<string, number>();
    let seed = 7;
    const random = (n: number) => (seed = (seed * 48_271) % 2_147_483_647) % n;
    for (let i = 0; i < 20_000; i++) {
      const visitor = `vis_${random(50)}`;
      const intent = 55 + random(30);
      const [event] = intents([intent], visitor, last.get(visitor));
      const isArmed = armed.get(visitor) ?? true;
      const expected = isArmed && intent >= 70;
      armed.set(visitor, intent >= 70 ? false : intent <= 65 ? true : isArmed);
      last.set(visitor, intent);
      expect(event && detector.observe(event)).toBe(expected);
    }
  });
});
