import { SocketClientMessage } from "@headwater/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseSocketMessage, sinceMsOf, topicText } from "./socket-message.ts";

const parse = (message: unknown) => parseSocketMessage(JSON.stringify(message));

describe("parseSocketMessage", () => {
  it("gives type and payload, and ignores what it does not know", () => {
    expect(parse({ type: "subscribe-feed", payload: { feedId: "f", userId: 5, more: {} }, other: 1 })).toMatchObject({
      kind: "message",
      type: "subscribe-feed",
      payload: { feedId: "f" },
      echo: { feedId: "f" },
    });
    expect(parse({ type: "ping" })).toMatchObject({ kind: "message", type: "ping" });
  });

  it("an error echoes small members only, a topic as text", () => {
    expect(parse({ type: "subscribe-topic", payload: { feedId: 7, topic: 1.5, requestId: "r", analysisId: null } })).toEqual({
      kind: "invalid",
      type: "subscribe-topic",
      echo: { feedId: 7, topic: "1.5", requestId: "r" },
    });
    expect(parse({ type: "llm-query", payload: { feedId: "x".repeat(257), requestId: {} } })).toEqual({
      kind: "invalid",
      type: "llm-query",
      echo: {},
    });
  });

  it.each(["", "{", "5", "null", "[]", '"x"', "{} {}"])("%s is malformed", (text) => {
    expect(parseSocketMessage(text)).toEqual({ kind: "malformed" });
  });

  it.each([{}, { type: null }, { type: "toString" }, { type: "hasOwnProperty" }, { type: "Ping" }])("%j is unknown", (message) => {
    expect(parse(message)).toEqual({ kind: "unknown" });
  });

  it.each([
    ["40138", "40138"],
    ["4200000000", "4200000000"],
    ["1.50", "1.5"],
    ["-0", "0"],
    ["12345678901234567890", "12345678901234567890"],
    ["-12345678901234567890", "-12345678901234567890"],
    ["1e21", "1e+21"],
    ['"XBT/USD"', "XBT/USD"],
  ])("topic %s is %s", (source, topic) => {
    const message = parseSocketMessage(`{"type":"subscribe-topic","payload":{"feedId":"f","topic":${source}}}`);
    if (message.kind !== "message" || message.type !== "subscribe-topic") throw new Error("not parsed");
    expect(topicText(message.payload.topic)).toBe(topic);
  });

  it.each([
    ["256 bytes", "x".repeat(256), true],
    ["257 bytes", "x".repeat(257), false],
    ["256 bytes in 128 characters", "é".repeat(128), true],
    ["258 bytes in 129 characters", "é".repeat(129), false],
    ["a surrogate pair", "😀", true],
    ["the first half of one", "a\ud83d", false],
    ["the second half of one", "\ude00a", false],
    ["a control character", "a\u001f", false],
  ])("a topic of %s", (_what, topic, isTopic) => {
    for (const type of ["subscribe-topic", "unsubscribe-topic"])
      expect(parse({ type, payload: { feedId: "f", topic } }).kind).toBe(isTopic ? "message" : "invalid");
  });

  it.each<[number | string, number | undefined]>([
    [1_769_802_850_630, 1_769_802_850_630],
    [-5, 0],
    ["2026-01-30T19:54:10.630Z", 1_769_802_850_630],
    ["2026-01-30T20:54:10.630+01:00", 1_769_802_850_630],
    ["1969-12-31T23:59:59Z", 0],
    ["2026-01-30T19:54:10", undefined],
    ["2026-13-30T19:54:10Z", undefined],
    ["1769802850630", undefined],
    ["soon", undefined],
    ["", undefined],
  ])("since %j is %s", (since, ms) => {
    expect(sinceMsOf(since)).toBe(ms);
  });

  it("accepts what the published schema accepts, for any input", () => {
    const type = fc.constantFrom(
      "authenticate",
      "subscribe-feed",
      "subscribe-topic",
      "llm-query",
      "resume",
      "toggle-auto-analysis",
      "nope",
    );
    const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.string()));
    const payload = fc.oneof(
      value,
      fc.dictionary(
        fc.constantFrom("feedId", "topic", "token", "apiKey", "enabled", "include", "cursor", "since", "question", "__proto__"),
        value,
      ),
    );
    fc.assert(
      fc.property(type, payload, (name, body) => {
        const message = { type: name, payload: body };
        expect(parse(message).kind === "message").toBe(SocketClientMessage.safeParse(JSON.parse(JSON.stringify(message))).success);
      }),
      { numRuns: 500 },
    );
  });
});
