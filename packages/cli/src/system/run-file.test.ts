import fs from "node:fs";
import path from "node:path";
import { makeTempDir } from "@headwater/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { parseRunFile, readRunFile } from "./run-file.ts";

const temp = makeTempDir("headwater-run");
afterAll(() => temp.remove());
const content = {
  pid: process.pid,
  url: "http://127.0.0.1:7210",
  dataDir: "/d",
  adminToken: "t",
  natsUrl: "nats://127.0.0.1:1",
  natsUsers: { admin: { user: "admin", password: "p" }, tap: { user: "tap", password: "q" } },
  databaseUrl: "postgres://x",
  adminPorts: { "auth-0": 1 },
};

describe("parseRunFile", () => {
  it("gives back what npm start writes", () => {
    expect(parseRunFile(JSON.stringify(content))).toEqual(content);
    const { natsUsers: _, ...external } = content;
    expect(parseRunFile(JSON.stringify(external))).toEqual(external);
  });
  it.each([
    ["not JSON", "{"],
    ["another shape", "[]"],
    ["a missing field", JSON.stringify({ ...content, adminToken: undefined })],
    ["half of the users", JSON.stringify({ ...content, natsUsers: { admin: content.natsUsers.admin } })],
  ])("is undefined for %s", (_name, text) => {
    expect(parseRunFile(text)).toBeUndefined();
  });
});

describe("readRunFile", () => {
  const place = (name: string, mode: number, value: unknown = content): string => {
    const dir = path.join(temp.dir, name);
    fs.mkdirSync(dir, { mode: 0o700 });
    fs.writeFileSync(path.join(dir, "7210.json"), JSON.stringify(value), { mode });
    fs.chmodSync(path.join(dir, "7210.json"), mode);
    return dir;
  };
  it("reads a private file of a living process", () => {
    expect(readRunFile(7210, place("good", 0o600))).toEqual(content);
  });
  it("knows nothing about another port or a dead process", () => {
    expect(readRunFile(7211, temp.dir)).toBeUndefined();
    expect(readRunFile(7210, place("dead", 0o600, { ...content, pid: 2 ** 22 + 1 }))).toBeUndefined();
  });
  it("refuses a file or directory others could have written", () => {
    expect(() => readRunFile(7210, place("readable", 0o644))).toThrow("not private");
    const dir = place("open", 0o600);
    fs.chmodSync(dir, 0o777);
    expect(() => readRunFile(7210, dir)).toThrow("not private");
  });
});
