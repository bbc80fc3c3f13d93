import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { cacheDir } from "./cache-dir.ts";

const isRoot = process.getuid?.() === 0;

describe("cacheDir", () => {
  it("is what the user says", () => expect(cacheDir({ HEADWATER_CACHE_DIR: "/x/y" })).toBe("/x/y"));
  it.runIf(isRoot)("of root is readable by the user PostgreSQL runs as", () => {
    expect(cacheDir({ XDG_CACHE_HOME: "/somewhere/else" })).toBe("/var/cache/headwater");
  });
  it.runIf(!isRoot)("of a user follows the usual places", () => {
    expect(cacheDir({ XDG_CACHE_HOME: "/c" })).toBe("/c/headwater");
    expect(cacheDir({})).toBe(path.join(os.homedir(), ".cache", "headwater"));
  });
});
