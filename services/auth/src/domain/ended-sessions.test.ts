import { expect, it } from "vitest";
import { SESSION_LIFETIME_MS } from "./account-rules.ts";
import { EndedSessions } from "./ended-sessions.ts";

it("forgets an ended session when its token has expired for sure, not before", () => {
  const ended = new EndedSessions();
  ended.end("s1", 1_000);
  ended.prune(1_000 + SESSION_LIFETIME_MS);
  expect([ended.has("s1"), ended.has("s2"), ended.size()]).toEqual([true, false, 1]);
  ended.prune(1_001 + SESSION_LIFETIME_MS);
  expect([ended.has("s1"), ended.size()]).toEqual([false, 0]);
});
