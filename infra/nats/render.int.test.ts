/** A real nats-server starts with the committed configuration; its users may do what theirs is and no more. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Child, freePort, resolveNatsServer, startChild } from "../../packages/embedded/src/index.ts";
import { ensureStreams, openNats } from "../../packages/messaging/src/index.ts";
import { NATS_USERS } from "../../packages/protocol/src/services.ts";
import { streamSpecs } from "../../packages/protocol/src/streams.ts";
import { quietLogger } from "../../packages/testkit/src/index.ts";
import { NATS_CONF, passwordVariable } from "./render.ts";

let dir: string;
let server: Child;
let url: string;
beforeAll(async () => {
  dir = mkdtempSync(path.join(tmpdir(), "headwater-conf-"));
  const [port, monitor] = [await freePort(), await freePort()];
  // Only the addresses are changed.
  const conf = readFileSync(NATS_CONF, "utf8")
    .replace("host: 0.0.0.0\nport: 4222", `host: 127.0.0.1\nport: ${port}`)
    .replace(":8222", `:${monitor}`);
  writeFileSync(path.join(dir, "nats.conf"), conf);
  url = `nats://127.0.0.1:${port}`;
  const { bin } = await resolveNatsServer(process.env, () => undefined);
  server = await startChild({
    name: "nats-server",
    command: bin,
    args: ["-c", path.join(dir, "nats.conf")],
    env: {
      ...Object.fromEntries(NATS_USERS.map((user) => [passwordVariable(user), `p-${user}`])),
      NATS_SERVER_NAME: "n1",
      NATS_STORE_DIR: path.join(dir, "store"),
    },
    readyLine: /Server is ready/,
    readyWithinMs: 20_000,
    stopSignal: "SIGTERM",
    stopWithinMs: 10_000,
  });
});
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
});

it("every owner can create its streams of the server profile", async () => {
  const specs = streamSpecs("server");
  for (const owner of new Set(specs.map((spec) => spec.owner))) {
    const nats = await openNats({ url, user: owner, password: `p-${owner}`, name: owner, log: quietLogger() });
    await ensureStreams(
      nats,
      specs.filter((spec) => spec.owner === owner),
      { replicas: 1 },
    );
    await nats.drain();
  }
});

it("a wrong password is refused", async () => {
  await expect(openNats({ url, user: "auth", password: "p-edge", name: "x", log: quietLogger() })).rejects.toThrow(/authorization/i);
});
