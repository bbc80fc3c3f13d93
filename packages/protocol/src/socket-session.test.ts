import { describe, expect, it } from "vitest";
import vectors from "../vectors/socket-sessions.json" with { type: "json" };
import { PLAN_LIMITS } from "./plans.ts";
import { SocketServerMessage, socketPayloads } from "./socket-frames.ts";
import { decodeSocketSession, encodeSocketSession, SOCKET_SESSION_KEPT_MS, SOCKET_SESSION_REFRESH_MS } from "./socket-session.ts";
import { streamSpecs } from "./streams.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const stream = streamSpecs("laptop").find(({ name }) => name === "SOCKETS");

describe("sessions of /ws", () => {
  it.each(vectors.authenticate)("authenticate $payload: $valid", ({ payload, valid }) => {
    expect(socketPayloads.authenticate.safeParse(payload).success).toBe(valid);
  });
  it.each([
    [128, true],
    [129, false],
  ])("a name of %i characters: %s", (length, valid) => {
    expect(socketPayloads.authenticate.safeParse({ token: "t", sessionId: "~".repeat(length) }).success).toBe(valid);
  });
  it.each(vectors.authenticated)("authenticated $payload: $valid", ({ payload, valid }) => {
    expect(SocketServerMessage.safeParse({ type: "authenticated", payload }).success).toBe(valid);
  });
  it.each(vectors.records)("record $text", ({ text, record }) => {
    const decoded = decodeSocketSession(bytes(text));
    expect(decoded ?? null).toEqual(record);
    if (decoded) expect(encodeSocketSession(decoded)).toBe(text);
  });
  it("the longest list fits a message of the stream, and many of them the stream", () => {
    const count = Math.max(...Object.values(PLAN_LIMITS).map(({ feedSubscriptionsPerSocket }) => feedSubscriptionsPerSocket));
    // The text that JSON makes longest of 256 bytes.
    const dataTopics = ['"'.repeat(256)];
    const feeds = Array.from({ length: count }, () => ({ id: "f".repeat(64), raw: false, llm: false, topics: [], dataTopics }));
    const text = encodeSocketSession({ v: 1, by: "w".repeat(64), since: 9e15, at: 9e15, cursors: false, feeds });
    expect(text.length).toBeLessThan(stream?.maxMsgBytes ?? 0);
  });
  it("are refreshed before they are forgotten, and the stream keeps them longer", () => {
    expect(SOCKET_SESSION_REFRESH_MS * 2).toBeLessThan(SOCKET_SESSION_KEPT_MS);
    expect(stream?.maxAgeMs).toBeGreaterThan(SOCKET_SESSION_KEPT_MS + SOCKET_SESSION_REFRESH_MS);
  });
});
