import { createServer } from "node:net";
import { expect, it } from "vitest";
import { readHealth } from "./health.ts";

const NATS = "nats://127.0.0.1:4222";

it.each<[string, Record<string, string>, string[]]>([
  ["the system that runs here", {}, ["edge-0"]],
  ["the same, named by the environment", { NATS_URL: NATS }, ["edge-0"]],
  ["one elsewhere, though one runs here", { NATS_URL: "nats://elsewhere.example:4222" }, []],
])("asks the admin listeners of %s", async (_name, env, expected) => {
  const silent = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const address = silent.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const run = { pid: 1, url: "", dataDir: "", adminToken: "", natsUrl: NATS, databaseUrl: "", adminPorts: { "edge-0": port } };
  const health = await readHealth({ run, env });
  expect([...health.keys()]).toEqual(expected);
  for (const report of health.values()) expect(report).toEqual({ status: "down", problems: ["admin listener"] });
  await new Promise((resolve) => silent.close(resolve));
});
