import type { IncomingMessage } from "node:http";
import { describe, expect, it } from "vitest";
import { createClientAddress, createClientScheme } from "./client-address.ts";

const trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"];
const request = (peer: string | undefined, headers: Record<string, string> = {}) =>
  ({ socket: { remoteAddress: peer }, headers }) as unknown as IncomingMessage;

describe("client address", () => {
  it.each([
    ["198.51.100.1", undefined, "198.51.100.1"],
    ["198.51.100.1", "203.0.113.9", "198.51.100.1"],
    ["127.0.0.1", "203.0.113.9", "203.0.113.9"],
    ["::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"],
    ["127.0.0.1", "203.0.113.9, 10.1.2.3", "203.0.113.9"],
    ["127.0.0.1", "192.0.2.66, 203.0.113.9", "203.0.113.9"],
    ["fd00::1", "2001:db8::7", "2001:db8::7"],
    ["127.0.0.1", "unknown, _hidden", "127.0.0.1"],
    ["127.0.0.1", "", "127.0.0.1"],
    [undefined, "203.0.113.9", ""],
  ])("of %s saying %s is %s", (peer, forwarded, expected) => {
    expect(createClientAddress(trusted)(request(peer, forwarded === undefined ? {} : { "x-forwarded-for": forwarded }))).toBe(expected);
  });

  it("knows addresses and blocks only", () => {
    for (const bad of ["proxy.local", "10.0.0.0/x", ""]) expect(() => createClientAddress([bad])).toThrow(RangeError);
  });
});

describe("client scheme", () => {
  it.each([
    ["198.51.100.1", "https", "http"],
    ["10.9.9.9", "https", "https"],
    ["10.9.9.9", "HTTPS, http", "https"],
    ["10.9.9.9", "http", "http"],
    ["10.9.9.9", "gopher", "http"],
  ])("of %s saying %s is %s", (peer, proto, expected) => {
    expect(createClientScheme(trusted)(request(peer, { "x-forwarded-proto": proto }))).toBe(expected);
  });
});
