import { parseTopicField, topicOf } from "@headwater/topic-path";
import { describe, expect, it } from "vitest";
import { ID_LENGTH, messageAt, messageText, planFeeds, readMessageId, subscriptionKey } from "./feed-plan.ts";

describe("feed plan", () => {
  const feeds = planFeeds(10, 5);

  it("has plain feeds among routed ones, every provider, and topics the product finds in the marked message", () => {
    expect(feeds.filter((feed) => !feed.isRouted).map((feed) => feed.index)).toEqual([4, 9]);
    expect(new Set(feeds.map((feed) => feed.provider)).size).toBe(5);
    for (let n = 0; n < 3_000; n++) {
      const planned = messageAt(feeds, n);
      const path = parseTopicField(planned.feed.topicField);
      if (!path.ok) throw new Error(path.reason);
      const text = messageText(planned, "abcdef", n, 12_345_678_901);
      expect(topicOf(path.path, text)).toEqual({ topic: planned.feed.topics[planned.template.topic] });
    }
  });

  it("reads back the id it wrote", () => {
    const planned = messageAt(feeds, 123);
    const text = messageText(planned, "run001", 123, 4_567_890.4);
    const id = { run: "run001", n: 123, feed: 3, topic: planned.template.topic, dueUs: 4_567_890 };
    expect(readMessageId(Buffer.from(`{"type":"topic-data","payload":${text}}`))).toEqual(id);
    expect(text).toContain(`.${subscriptionKey(3, planned.template.topic)}.`);
    expect(/"_b":"([^"]*)"/.exec(text)?.[1]).toHaveLength(ID_LENGTH);
    expect(readMessageId(Buffer.from('{"type":"pong"}'))).toBeUndefined();
  });
});
