/** Finding a nats-server that is here already, with small fake binaries. Nothing is fetched. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findNatsServer, MIN_NATS_VERSION } from "./nats-binary.ts";

let dir: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-nats-bin-"));
});
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }));

function fake(file: string, prints: string, exit = 0): string {
  const at = path.join(dir, file);
  fs.mkdirSync(path.dirname(at), { recursive: true });
  fs.writeFileSync(at, `#!/bin/sh\necho '${prints}'\nexit ${exit}\n`, { mode: 0o755 });
  return at;
}
const cached = path.join("nats", `${process.platform}-${process.arch}`, "nats-server");

describe("findNatsServer", () => {
  it("prefers the one it is told to use", () => {
    fake(cached, "nats-server: v9.9.9");
    const bin = fake("mine", "nats-server: v2.12.3");
    expect(findNatsServer({ NATS_SERVER_BIN: bin, HEADWATER_CACHE_DIR: dir }).found).toEqual({
      bin,
      version: "2.12.3",
      from: "NATS_SERVER_BIN",
    });
  });
  it.each(["v2.12.3", "v2.12.10", "v2.13.0", "v3.0.0", "v2.14.0-RC.1"])("takes %s", (version) => {
    const bin = fake("mine", `nats-server: ${version}`);
    expect(findNatsServer({ NATS_SERVER_BIN: bin, HEADWATER_CACHE_DIR: dir }).found?.from).toBe("NATS_SERVER_BIN");
  });
  it.each([
    ["v2.12.2", /found 2\.12\.2, need >= 2\.12\.3/],
    ["v2.9.10", /found 2\.9\.10/],
    ["v1.99.99", /found 1\.99\.99/],
    ["garbage", /not found/],
  ])("passes %s over and says why", (version, why) => {
    const bin = fake("mine", `nats-server: ${version}`);
    expect(findNatsServer({ NATS_SERVER_BIN: bin, HEADWATER_CACHE_DIR: dir }).tried[0]).toMatch(why);
  });
  it("passes over what is not there or does not run", () => {
    const { tried } = findNatsServer({ NATS_SERVER_BIN: path.join(dir, "absent"), HEADWATER_CACHE_DIR: dir });
    expect(tried[0]).toBe("NATS_SERVER_BIN: not found");
  });
  it("has a floor that is a plain version", () => expect(MIN_NATS_VERSION).toHaveLength(3));
});
