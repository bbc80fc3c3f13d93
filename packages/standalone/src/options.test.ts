import { ConfigError } from "@headwater/runtime";
import { describe, expect, it } from "vitest";
import { isLoopback, parseOptions } from "./options.ts";

const parse = (argv: string[], env: Record<string, string> = {}) => parseOptions(argv, env, "/srv/app");

describe("port", () => {
  it.each([
    ["--port wins", ["--port", "1"], { BACKEND_PORT: "2", PORT: "3" }, 1],
    ["then BACKEND_PORT", [], { BACKEND_PORT: "2", PORT: "3" }, 2],
    ["then PORT", [], { PORT: "3" }, 3],
    ["then the default", [], {}, 7210],
    ["an empty variable is absent", [], { PORT: "" }, 7210],
  ])("%s", (_name, argv, env, port) => expect(parse(argv, env as Record<string, string>).port).toBe(port));

  it.each(["seven", "-1", "65536", "1.5"])("refuses %s", (text) => expect(() => parse(["--port", text])).toThrow(ConfigError));
});

it("resolves the data directory from where the user stands", () => {
  expect(parse([]).dataDir).toBe("/srv/app/.headwater");
  expect(parse(["--data-dir", "x"]).dataDir).toBe("/srv/app/x");
  expect(parse(["--data-dir", "/var/x"]).dataDir).toBe("/var/x");
});

it("serves plain HTTP off loopback only when told to", () => {
  expect(() => parse([], { BACKEND_HOST: "0.0.0.0" })).toThrow(/not loopback/);
  expect(parse(["--allow-plain"], { BACKEND_HOST: "0.0.0.0" }).allowPlain).toBe(true);
  expect(parse([], { BACKEND_HOST: "0.0.0.0", TLS_CERT: "c", TLS_KEY: "k" }).tls).toEqual({ certFile: "c", keyFile: "k" });
  expect(() => parse([], { TLS_CERT: "c" })).toThrow(/both or none/);
});

it("reads replicas and refuses unknown services", () => {
  expect(parse(["--replicas", "scoring=2,edge=3"]).replicas).toMatchObject({ scoring: 2, edge: 3, auth: 1 });
  expect(() => parse(["--replicas", "billing=2"])).toThrow(ConfigError);
  expect(() => parse(["--replicas", "edge=0"])).toThrow(ConfigError);
});

it("refuses options it does not know", () => expect(() => parse(["--demo"])).toThrow(ConfigError));

it.each([
  ["127.0.0.1", true],
  ["127.8.8.8", true],
  ["::1", true],
  ["localhost", true],
  ["0.0.0.0", false],
  ["10.0.0.1", false],
  ["127.0.0.1.example", false],
])("%s is loopback: %s", (host, expected) => expect(isLoopback(host)).toBe(expected));
