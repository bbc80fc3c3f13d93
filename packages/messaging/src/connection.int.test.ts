/** A service's connection: first connect, loss and return, credentials, drain. */
import { freePort } from "@headwater/embedded";
import { collectingLogger, quietLogger, startNats, until } from "@headwater/testkit";
import { expect, it } from "vitest";
import { type ConnectionEvent, openNats } from "./connection.ts";

it("tells loss and return, and is usable again by itself", async () => {
  const server = await startNats();
  const { log, messages } = collectingLogger();
  const nats = await openNats({ url: server.url, name: "test", log });
  const events: ConnectionEvent[] = [];
  const leave = nats.onStatus((event) => events.push(event));
  const got: string[] = [];
  nats.core.subscribe("hello", { callback: (msg) => void got.push(new TextDecoder().decode(msg.data)) });
  expect(nats.connected()).toBe(true);
  server.kill();
  await until("down", () => !nats.connected());
  await until("up", () => nats.connected());
  nats.core.publish("hello", "again");
  await until("subscriptions are back", () => got.length === 1);
  expect(events).toEqual(["disconnect", "reconnect"]);
  expect(messages()).toEqual(expect.arrayContaining(["nats.disconnected", "nats.reconnected"]));
  leave();
  await Promise.all([nats.drain(), nats.drain()]);
  await nats.drain();
  expect([nats.closed, nats.connected()]).toEqual([true, false]);
  expect(events).toEqual(["disconnect", "reconnect"]);
  await server.stop();
});

it("drains while the server is gone", async () => {
  const server = await startNats();
  const nats = await openNats({ url: server.url, name: "test", log: quietLogger() });
  await server.stop();
  await until("down", () => !nats.connected());
  await nats.drain();
  expect(nats.closed).toBe(true);
});

it("drains while the server goes away", async () => {
  const server = await startNats();
  const nats = await openNats({ url: server.url, name: "test", log: quietLogger() });
  await server.pause();
  const drained = nats.drain();
  server.kill();
  await drained;
  expect(nats.closed).toBe(true);
  await server.stop();
});

it("gives up the first connect in time", async () => {
  const url = `nats://127.0.0.1:${await freePort()}`;
  await expect(openNats({ url, name: "test", log: quietLogger(), connectWithinMs: 200 })).rejects.toThrow();
});

it("a wrong password is final at once; its text is in no log line", async () => {
  const server = await startNats({ users: [{ user: "auth", password: "right-password" }] });
  const { log, lines } = collectingLogger("trace");
  const before = performance.now();
  await expect(openNats({ url: server.url, user: "auth", password: "wrong-password", name: "test", log })).rejects.toThrow(
    /authorization/i,
  );
  expect(performance.now() - before).toBeLessThan(5_000);
  expect(JSON.stringify(lines())).not.toContain("wrong-password");
  const nats = await openNats({ url: server.url, user: "auth", password: "right-password", name: "test", log });
  await nats.drain();
  await server.stop();
});
