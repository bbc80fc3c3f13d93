import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { makeTempDir } from "@headwater/testkit";
import { afterAll, describe, expect, it } from "vitest";
import { runCli } from "../cli.ts";
import { recordedTerminal } from "../testing.ts";
import { checkDataDir, checkDisk, checkNatsServer, checkNode, checkPort, checkPostgres } from "./machine.ts";

const temp = makeTempDir("headwater-doctor");
afterAll(() => temp.remove());

async function listener(): Promise<{ port: number; close(): Promise<void> }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A TCP listener's address is an object; only pipes have a string.
  const { port } = server.address() as net.AddressInfo;
  return { port, close: () => new Promise((resolve) => void server.close(() => resolve())) };
}

describe("port", () => {
  it("tells free, taken, served and lost", async () => {
    const other = await listener();
    expect(await checkPort(other.port, "127.0.0.1", false)).toMatchObject({
      level: "fail",
      detail: `${other.port} is taken by another program`,
    });
    expect(await checkPort(other.port, "127.0.0.1", true)).toMatchObject({ level: "ok" });
    await other.close();
    expect(await checkPort(other.port, "127.0.0.1", false)).toMatchObject({ level: "ok", detail: `${other.port} is free` });
    expect(await checkPort(other.port, "127.0.0.1", true)).toMatchObject({ level: "fail" });
  });
});

describe("data directory", () => {
  const make = (name: string, pid?: number): string => {
    const dir = path.join(temp.dir, name);
    fs.mkdirSync(dir);
    if (pid !== undefined) fs.writeFileSync(path.join(dir, "pids.json"), JSON.stringify([{ name: "supervisor", pid, startedAt: "1" }]));
    return dir;
  };
  it("may be absent or there", () => {
    expect(checkDataDir(path.join(temp.dir, "not/yet"), false).level).toBe("ok");
    expect(checkDataDir(make("there"), false).level).toBe("ok");
  });
  it("may not be held by another run, which is fine when that run is the one looked at", () => {
    const dir = make("held", process.pid);
    expect(checkDataDir(dir, false)).toMatchObject({ level: "fail", detail: `${dir} is in use by process ${process.pid}` });
    expect(checkDataDir(dir, true).level).toBe("ok");
    expect(checkDataDir(make("left", 2 ** 22 + 1), false).level).toBe("ok");
  });
  it("must be a directory", () => {
    const file = path.join(temp.dir, "file");
    fs.writeFileSync(file, "");
    expect(checkDataDir(file, false).level).toBe("fail");
  });
  it("names the database version it holds", () => {
    const dir = make("database");
    fs.mkdirSync(path.join(dir, "postgres"));
    fs.writeFileSync(path.join(dir, "postgres/PG_VERSION"), "18\n");
    expect(checkDataDir(dir, false).detail).toContain("PostgreSQL 18 data");
  });
});

describe("runtimes", () => {
  it("looks, and fetches nothing", () => {
    expect(checkNode().level).toBe("ok");
    expect(checkDisk(path.join(temp.dir, "not/yet")).detail).toContain(`free at ${temp.dir}`);
    const nowhere = checkNatsServer({ PATH: "", NATS_SERVER_BIN: "/nonexistent", HEADWATER_CACHE_DIR: temp.dir });
    expect(nowhere.hint ?? nowhere.detail).toMatch(/NATS_SERVER_BIN|PATH/);
  });
  it("needs none that is elsewhere, and never shows a password", () => {
    const nats = checkNatsServer({ NATS_URL: "nats://u:secret@h:4222" });
    const database = checkPostgres({ DATABASE_URL: "postgres://u:secret@h/db" });
    expect([nats.level, database.level]).toEqual(["ok", "ok"]);
    expect(nats.detail + database.detail).not.toContain("secret");
  });
});

it("is one JSON document, exit 1 when something fails", async () => {
  const other = await listener();
  const terminal = recordedTerminal();
  const dir = path.join(temp.dir, "fresh");
  expect(await runCli(["doctor", "--json", "--port", String(other.port), "--data-dir", dir], terminal)).toBe(1);
  const answer = JSON.parse(terminal.stdout()) as { ok: boolean; running: boolean; findings: { name: string; level: string }[] };
  expect([answer.ok, answer.running]).toEqual([false, false]);
  expect(answer.findings).toContainEqual(expect.objectContaining({ name: "port", level: "fail" }));
  await other.close();
});
