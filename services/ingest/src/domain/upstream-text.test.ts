/** Text of an upstream becomes messages. */
import { describe, expect, it } from "vitest";
import { type Decoded, jsonLines, jsonOrText, MAX_MESSAGES_PER_FRAME, messagesIn, plainText } from "./upstream-message.ts";

const read = (how: (text: string, into: Decoded) => void, text: string): Decoded => {
  const into: Decoded = { messages: [], dropped: [] };
  how(text, into);
  return into;
};

describe("text → messages", () => {
  it("is JSON when it can be, and the text itself when not", () => {
    expect(read(jsonOrText, ' {"a":\n1} ')).toEqual({ messages: [{ kind: "json", text: '{"a": 1}' }], dropped: [] });
    expect(read(jsonOrText, "hello").messages).toEqual([{ kind: "text", text: "hello" }]);
    expect(read(jsonOrText, "12345678901234567890").messages).toEqual([{ kind: "json", text: "12345678901234567890" }]);
    expect(read(plainText, '{"a":1}').messages).toEqual([{ kind: "text", text: '{"a":1}' }]);
  });
  it.each(["", "  \n", "null", " null "])("drops %j (W1)", (text) => {
    expect(read(jsonOrText, text)).toEqual({ messages: [], dropped: ["empty"] });
  });
  it("splits lines, bounded in number", () => {
    expect(read(jsonLines, '{"a":1}\r\n\nnull\nx\n')).toEqual({
      messages: [
        { kind: "json", text: '{"a":1}' },
        { kind: "text", text: "x" },
      ],
      dropped: ["empty"],
    });
    const many = read(jsonLines, "1\n".repeat(MAX_MESSAGES_PER_FRAME + 5));
    expect([many.messages.length, many.dropped]).toEqual([MAX_MESSAGES_PER_FRAME, ["size"]]);
  });
});

describe("messages of an array", () => {
  const batch = { kind: "json", text: "[1,2,3]", elements: 3 } as const;
  it("are counted where it is read", () => {
    expect(read(jsonOrText, "[1,2,3]").messages).toEqual([batch]);
    expect(read(jsonLines, '[1,2,3]\n{"a":[1,2]}').messages).toEqual([batch, { kind: "json", text: '{"a":[1,2]}' }]);
  });
  it.each([
    ["a field that begins with a name", { enableTopicRouting: true, topicField: "s" }, 3],
    ["a field that begins with a position", { enableTopicRouting: true, topicField: " [-1].s" }, 1],
    ["routing without a field", { enableTopicRouting: true }, 1],
    ["no routing", { enableTopicRouting: false, topicField: "s" }, 1],
  ])("are what readers get of it: %s", (_what, feed, expected) => {
    expect(messagesIn(batch, feed)).toBe(expected);
  });
  it("are one when it is empty or no array", () => {
    const feed = { enableTopicRouting: true, topicField: "s" };
    expect(messagesIn({ kind: "json", text: "[]", elements: 0 }, feed)).toBe(1);
    expect(messagesIn({ kind: "json", text: "{}" }, feed)).toBe(1);
  });
});
