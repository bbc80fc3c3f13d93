import { describe, expect, it } from "vitest";
import { deliveriesDue, judgeConnections, judgeFeeds, type LoggedMessage } from "./feed-checker.ts";

const message = (n: number, feed: number, topic: number): LoggedMessage => ({ id: `run001.${n}.${feed}`, feed, topic, dueUs: n });
const log = [message(0, 0, 2), message(1, 1, 0), message(2, 0, 2), message(3, 0, 1)];
const keys = [new Set(["0.2"]), new Set(["1", "0.1"])];
const line = (client: number, of: LoggedMessage): string => `E ${client} ${of.id} ${of.topic} ${of.dueUs + 5_000}\n`;
const [first, plain, third, rare] = log as [LoggedMessage, LoggedMessage, LoggedMessage, LoggedMessage];
const all = line(0, first) + line(0, third) + line(1, plain) + line(1, rare);
const CLEAN = {
  logged: 4,
  storedTwice: [],
  lost: [],
  duplicated: [],
  phantom: [],
  reordered: [],
  gaps: [],
  delivered: 4,
  longestDelayMs: 5,
};

describe("feed checker", () => {
  it("finds nothing wrong with a whole run", () => {
    expect(judgeFeeds(log, all, keys)).toEqual(CLEAN);
    expect(deliveriesDue(log, keys)).toBe(4);
  });

  it.each([
    ["a lost message", line(0, first) + line(1, plain) + line(1, rare), { lost: ["0: run001.2.0"] }],
    ["a repeated one", all + line(1, plain), { duplicated: ["1: run001.1.1"] }],
    ["one nobody stored", `${all}E 0 run001.9.0 2 5009\n`, { phantom: ["0: run001.9.0"] }],
    ["one nobody asked for", all + line(0, plain), { phantom: ["0: run001.1.1"] }],
    ["one under the wrong topic", all.replace("run001.3.0 1", "run001.3.0 2"), { phantom: ["1: run001.3.0"] }],
    ["a wrong order", line(0, third) + line(0, first) + line(1, plain) + line(1, rare), { reordered: ["0: run001.0.0"] }],
    ["a gap that was told", `${all}G 0 {"feedId":"f"}\n`, { gaps: ['G 0 {"feedId":"f"}'] }],
  ])("finds %s", (_what, record, found) => {
    const verdict = judgeFeeds(log, record, keys);
    expect(verdict).toEqual({ ...CLEAN, delivered: verdict.delivered, ...found });
  });

  it("finds a message that is stored twice", () => {
    expect(judgeFeeds([...log, first], all, keys).storedTwice).toEqual([first.id]);
  });

  it("tells one new connection per feed from none, two, and two at once", () => {
    const fault = { faultUs: 100_000, untilUs: 9_000_000, expected: 1 };
    const good = [
      { feed: 0, openedUs: 1, closedUs: 100_500 },
      { feed: 0, openedUs: 2_100_000 },
    ];
    expect(judgeConnections(good, 1, fault)).toEqual({ notOnce: [], doubled: [], slowestMs: 2_000 });
    expect(judgeConnections(good.slice(0, 1), 1, fault).notOnce).toEqual(["feed 0: 0 new, 0 open"]);
    const twice = [...good, { feed: 0, openedUs: 3_000_000 }];
    expect(judgeConnections(twice, 1, fault)).toEqual({ notOnce: ["feed 0: 2 new, 2 open"], doubled: [0], slowestMs: 2_900 });
    const overlapping = [{ feed: 0, openedUs: 1, closedUs: 2_200_000 }, good[1] ?? { feed: 0, openedUs: 0 }];
    expect(judgeConnections(overlapping, 1, fault).doubled).toEqual([0]);
    expect(judgeConnections(good.slice(0, 1), 1, { ...fault, expected: 0 }).notOnce).toEqual(["feed 0: 0 new, 0 open"]);
  });
});
