import { describe, expect, it } from "vitest";
import { CommandFailed } from "../terminal.ts";
import type { RunFile } from "./run-file.ts";
import { adminTokenOf } from "./target.ts";

const run = (url: string): RunFile => ({
  pid: 1,
  url,
  dataDir: "/data",
  adminToken: "local-token",
  natsUrl: "nats://127.0.0.1:4222",
  databaseUrl: "postgres://127.0.0.1/x",
  adminPorts: {},
});
const tokenFor = (url: string, local: string | undefined, env: Record<string, string> = {}): string =>
  adminTokenOf({ port: 7210, url, run: local === undefined ? undefined : run(local), env });

describe("adminTokenOf", () => {
  it.each([
    ["http://127.0.0.1:7210", "http://127.0.0.1:7210"],
    ["http://localhost:7210", "http://127.0.0.1:7210"],
    ["http://[::1]:7210", "http://localhost:7210"],
    ["https://box.example:8443", "https://box.example:8443"],
  ])("%s is the local system at %s", (url, local) => {
    expect(tokenFor(url, local)).toBe("local-token");
  });

  it.each([
    "http://elsewhere.example:7210",
    "https://127.0.0.1:7210",
    "http://127.0.0.1:7211",
    "http://127.0.0.1.example:7210",
    "http://127.0.0.1:7210@elsewhere.example",
    "not a url",
  ])("the local token is not sent to %s", (url) => {
    expect(() => tokenFor(url, "http://127.0.0.1:7210")).toThrow(CommandFailed);
    expect(() => tokenFor(url, "http://127.0.0.1:7210")).toThrow(/HEADWATER_ADMIN_TOKEN/);
  });

  it("takes the one of the environment for any address", () => {
    expect(tokenFor("http://elsewhere.example", "http://127.0.0.1:7210", { HEADWATER_ADMIN_TOKEN: "given" })).toBe("given");
    expect(tokenFor("http://elsewhere.example", undefined, { HEADWATER_ADMIN_TOKEN: "given" })).toBe("given");
  });

  it("fails where nothing runs", () => {
    expect(() => tokenFor("http://127.0.0.1:7210", undefined)).toThrow(/no Headwater of this user runs on port 7210/);
  });
});
