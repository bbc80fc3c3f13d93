/** Requests between services: answers and refusals as they travel, discovery, load sharing, and lanes that move. */
import { collectingLogger, quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { connectionOf, type Nats, openNats } from "./connection.ts";
import { discoverServices } from "./discovery.ts";
import { callLane, notOwner, serveLaneRequests } from "./lane-requests.ts";
import { RpcError, RpcUnavailable } from "./rpc-error.ts";
import { callService, serveRequests, type ServeOptions } from "./service.ts";

let server: TestNats;
let here: Nats;
let there: Nats;
let stops: (() => void)[];
beforeAll(async () => {
  server = await startNats();
  [here, there] = (await Promise.all(["a", "b"].map((name) => openNats({ url: server.url, name, log: quietLogger() })))) as [Nats, Nats];
});
beforeEach(() => {
  stops = [];
});
afterEach(() => {
  for (const stop of stops) stop();
});
afterAll(async () => {
  await Promise.all([here.drain(), there.drain()]);
  await server.stop();
});

/** Serves on `there` and waits until the server knows. */
async function serve(options: Partial<ServeOptions> = {}, nats = there): Promise<void> {
  const served = serveRequests(nats, {
    name: "auth",
    version: "1.2.3",
    description: "test",
    instanceId: "auth-0",
    metadata: { profile: "laptop" },
    statsData: () => ({ keys: 3 }),
    endpoints: {},
    log: quietLogger(),
    ...options,
  });
  stops.push(() => served.stop());
  await nats.flush();
}

describe("a request", () => {
  it("carries JSON there and back", async () => {
    await serve({ endpoints: { echo: (payload) => ({ got: payload }) } });
    expect(await callService(here, "auth", "echo", { text: "größe 🙂", n: null })).toEqual({ got: { text: "größe 🙂", n: null } });
    expect(await callService(here, "auth", "status", undefined)).toEqual({ keys: 3 });
  });

  it("is refused with code, message and status", async () => {
    await serve({
      endpoints: {
        verify: async () => {
          throw new RpcError("invalid_key", "no such key,\nreally", 401);
        },
      },
    });
    const refused = callService(here, "auth", "verify", {});
    await expect(refused).rejects.toBeInstanceOf(RpcError);
    await expect(refused).rejects.toMatchObject({ code: "invalid_key", status: 401, message: "no such key, really" });
  });

  it("that breaks the handler says nothing of how; the log says it once", async () => {
    const { log, lines } = collectingLogger();
    await serve({
      log,
      endpoints: {
        verify: () => {
          throw new Error("SELECT password FROM secrets");
        },
      },
    });
    await expect(callService(here, "auth", "verify", {})).rejects.toMatchObject({
      code: "internal",
      status: 500,
      message: "internal error",
    });
    expect(lines()).toHaveLength(1);
    expect(lines()[0]).toMatchObject({ msg: "rpc.handler_failed", subject: "svc.auth.verify" });
  });

  it("that is not JSON is refused, not a crash", async () => {
    await serve({ endpoints: { echo: (payload) => payload } });
    const answer = await connectionOf(here).request("svc.auth.echo", "{not json", { timeout: 2_000 });
    expect(answer.headers?.get("Nats-Service-Error-Code")).toBe("400");
    expect(answer.json()).toMatchObject({ error: "invalid_json", status: 400 });
  });

  it("nobody answers: told at once; nobody answers in time: told then", async () => {
    const before = performance.now();
    await expect(callService(here, "nobody", "verify", {}, { timeoutMs: 5_000 })).rejects.toBeInstanceOf(RpcUnavailable);
    expect(performance.now() - before).toBeLessThan(2_000);
    await serve({ endpoints: { slow: () => new Promise(() => undefined) } });
    await expect(callService(here, "auth", "slow", {}, { timeoutMs: 50 })).rejects.toThrow("no answer in time");
  });

  it("is answered by exactly one of several instances", async () => {
    const counts = [0, 0];
    const endpoints = (n: number) => ({ count: () => (counts[n] = (counts[n] ?? 0) + 1) });
    await serve({ instanceId: "auth-0", endpoints: endpoints(0) }, here);
    await serve({ instanceId: "auth-1", endpoints: endpoints(1) }, there);
    await Promise.all(Array.from({ length: 200 }, () => callService(here, "auth", "count", {})));
    expect((counts[0] ?? 0) + (counts[1] ?? 0)).toBe(200);
    expect(Math.min(...counts)).toBeGreaterThan(20);
  });
});

describe("discovery", () => {
  it("answers PING, INFO and STATS to all, to a service and to one instance", async () => {
    await serve({ endpoints: { verify: () => 1 } });
    await callService(here, "auth", "verify", {});
    const ask = async (subject: string): Promise<Record<string, unknown>> =>
      (await connectionOf(here).request(subject, "", { timeout: 2_000 })).json<Record<string, unknown>>();
    const identity = { name: "auth", id: "auth-0", version: "1.2.3", metadata: { profile: "laptop" } };
    for (const suffix of ["", ".auth", ".auth.auth-0"]) {
      expect(await ask(`$SRV.PING${suffix}`)).toEqual({ type: "io.nats.micro.v1.ping_response", ...identity });
      expect(await ask(`$SRV.INFO${suffix}`)).toMatchObject({
        type: "io.nats.micro.v1.info_response",
        ...identity,
        endpoints: [{ name: "verify", subject: "svc.auth.verify", queue_group: "q" }, { name: "status" }],
      });
      expect(await ask(`$SRV.STATS${suffix}`)).toMatchObject({
        type: "io.nats.micro.v1.stats_response",
        ...identity,
        endpoints: [
          { name: "verify", num_requests: 1, num_errors: 0 },
          { name: "status", data: { keys: 3 } },
        ],
      });
    }
  });

  it("finds every instance with what it says of itself, and takes nothing else for one", async () => {
    await serve({ instanceId: "auth-0" }, here);
    await serve({ instanceId: "auth-1", statsData: () => ({ lanes: [1] }) }, there);
    const stranger = there.core.subscribe("$SRV.STATS", { callback: (msg) => void msg.respond("hello") });
    stops.push(() => stranger.unsubscribe());
    await there.flush();
    const found = await discoverServices(here);
    expect(found.map(({ instance, status }) => [instance, status])).toEqual([
      ["auth-0", { keys: 3 }],
      ["auth-1", { lanes: [1] }],
    ]);
  });

  it("a stopped instance is gone", async () => {
    await serve();
    for (const stop of stops.splice(0)) stop();
    await there.flush();
    await expect(callService(here, "auth", "status", {})).rejects.toBeInstanceOf(RpcUnavailable);
  });
});

describe("a lane's owner", () => {
  const own = async (nats: Nats, answer: () => unknown): Promise<() => void> => {
    const served = serveLaneRequests(nats, "visits", 3, { context: answer }, quietLogger());
    stops.push(() => served.stop());
    await nats.flush();
    return () => served.stop();
  };

  it("answers for its lane only", async () => {
    await own(there, () => "mine");
    expect(await callLane(here, "visits", 3, "context", {})).toBe("mine");
    await expect(callLane(here, "visits", 4, "context", {}, { deadlineMs: 100 })).rejects.toBeInstanceOf(RpcUnavailable);
  });

  it("is followed when the lane moves", async () => {
    const leave = await own(there, () => {
      throw notOwner();
    });
    const asked = callLane(here, "visits", 3, "context", {}, { deadlineMs: 5_000, attemptMs: 200 });
    leave();
    await own(here, () => "new owner");
    expect(await asked).toBe("new owner");
  });

  it("that takes a request to its grave costs one attempt, not the deadline", async () => {
    const dying = await openNats({ url: server.url, name: "dying", log: quietLogger() });
    const taken = Promise.withResolvers<void>();
    await own(dying, () => {
      taken.resolve();
      return new Promise(() => undefined);
    });
    const asked = callLane(here, "visits", 3, "context", {}, { deadlineMs: 5_000, attemptMs: 200 });
    await taken.promise;
    await dying.drain();
    await own(there, () => "new owner");
    expect(await asked).toBe("new owner");
  });

  it("may refuse, which ends the asking", async () => {
    let asked = 0;
    await own(there, () => {
      asked++;
      throw new RpcError("not_found", "no", 404);
    });
    await expect(callLane(here, "visits", 3, "context", {})).rejects.toMatchObject({ code: "not_found" });
    expect(asked).toBe(1);
  });
});

it("while disconnected a request fails at once instead of waiting in a queue", async () => {
  const nats = await openNats({ url: server.url, name: "c", log: quietLogger() });
  server.kill();
  await until("seen as down", () => !nats.connected());
  const before = performance.now();
  await expect(callService(nats, "auth", "status", {}, { timeoutMs: 10_000 })).rejects.toBeInstanceOf(RpcUnavailable);
  expect(performance.now() - before).toBeLessThan(1_000);
  await until("all are back", () => nats.connected() && here.connected() && there.connected());
  await nats.drain();
});
