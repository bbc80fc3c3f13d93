/** Commands against a real nats-server with the real users of each service, and against a listener that speaks the operator API. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createPublisher, ensureStreams, type Nats, openNats, RpcError, serveLaneRequests, serveRequests } from "@headwater/messaging";
import { encodeFrame, natsPermissions, NATS_USERS, type NatsUser, streamSpecs, subjects } from "@headwater/protocol";
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../cli.ts";
import { recordedTerminal } from "../testing.ts";

const log = quietLogger();
const clock = { now: () => Date.now(), monotonicMs: () => performance.now() };
let server: TestNats;
const connections: Nats[] = [];
const as = async (user: NatsUser): Promise<Nats> => {
  const nats = await openNats({ url: server.url, user, password: `pw-${user}`, name: user, log, clock });
  connections.push(nats);
  return nats;
};
const env = (user: "admin" | "tap") => ({ NATS_URL: server.url, NATS_USER: user, NATS_PASSWORD: `pw-${user}` });
const labeled = (visitorId: string, behavioralClass: string) => ({
  wire: JSON.stringify({ type: "event", ts: 1, visitorId, eventType: "pageview", page: "/", bot: {}, behavioralClass, scores: null }),
  ext: JSON.stringify({ k: 0, s: "site_1" }),
});
let publish: (visitorId: string, behavioralClass: string) => Promise<unknown>;

beforeAll(async () => {
  server = await startNats({ users: NATS_USERS.map((user) => ({ user, password: `pw-${user}`, permissions: natsPermissions(user) })) });
  for (const owner of ["auth", "ingest", "scoring"] as const) {
    const specs = streamSpecs("laptop").filter((spec) => spec.owner === owner);
    await ensureStreams(await as(owner), specs, { replicas: 1 });
  }
  const registry = createPublisher(await as("auth"));
  const data = { id: "ten_a", slug: "acme", name: "Acme", plan: "scale", createdAt: "2026-01-01T00:00:00.000Z" };
  const record = { v: 1, type: "tenant.created", aggregate: "tenant", id: "ten_a", at: data.createdAt, data };
  await registry.publish(subjects.registry("tenant", "ten_a"), JSON.stringify(record));
  const signals = createPublisher(await as("scoring"));
  let position = 0;
  publish = (visitorId, behavioralClass) => {
    const header = { v: 1, family: "signals", gen: "g1", epoch: 1, in: ++position, reg: 1, regs: [], n: 1, keys: ["ten_a"] } as const;
    const text = encodeFrame({ ...header, regs: [], keys: ["ten_a"] }, [labeled(visitorId, behavioralClass)]);
    return signals.publish(subjects.lane("signals", position % 16), text);
  };
}, 60_000);
afterAll(async () => {
  for (const nats of connections) await nats.drain();
  await server.stop();
});

describe("tap, as the read-only user", () => {
  it("shows what is stored, filtered, and ends", async () => {
    await publish("v_human", "human");
    await publish("v_bot", "bot");
    const terminal = recordedTerminal(env("tap"));
    expect(await runCli(["tap", "signals", "--tenant", "acme", "--class", "bot", "--json"], terminal)).toBe(0);
    const rows = terminal.lines().map((line) => JSON.parse(line) as { tenant: string; visitorId: string });
    expect(rows.map((row) => [row.tenant, row.visitorId])).toEqual([["acme", "v_bot"]]);
  });
  it("follows until it is interrupted", async () => {
    const terminal = recordedTerminal(env("tap"));
    const running = runCli(["tap", "signals.>", "--follow"], terminal);
    // Only what comes after the tap is there is shown, so events are posted until one is.
    let n = 0;
    await until("a followed event", async () => {
      await publish(`v_follow_${n++}`, "human");
      return terminal.lines().length > 0;
    });
    terminal.interrupt();
    expect(await running).toBe(0);
    expect(terminal.stdout()).toMatch(/acme {6} {2}pageview {3}v_follow_\d+/);
  });
  it("stops at --limit and leaves no consumer behind", async () => {
    const terminal = recordedTerminal(env("tap"));
    expect(await runCli(["tap", "registry", "--since", "1h", "--limit", "1"], terminal)).toBe(0);
    expect(terminal.lines().length).toBe(1);
    await until("no consumers on any stream", async () => {
      const jsz = await fetch(`${server.monitorUrl}/jsz`);
      // Documented field of the server's monitoring.
      return ((await jsz.json()) as { consumers: number }).consumers === 0;
    });
  });
  it("fails clearly for an unknown tenant", async () => {
    const terminal = recordedTerminal(env("tap"));
    expect(await runCli(["tap", "signals", "--tenant", "nobody"], terminal)).toBe(1);
    expect(terminal.stderr()).toBe("headwater: no tenant nobody\n");
  });
});

describe("status", () => {
  const serve = async (service: "auth" | "scoring", instanceId: string, status: Record<string, unknown>) =>
    serveRequests(await as(service), {
      name: service,
      version: "0.1.0",
      description: "test",
      instanceId,
      metadata: { pid: "4711" },
      statsData: () => status,
      endpoints: {},
      log,
    });
  it("tells instances, lanes with owners, streams, and who is missing", async () => {
    const lane = { lane: 5, state: "live", epoch: 2, in: 10, lag: 3 };
    const running = [
      await serve("auth", "auth-0", { lanes: [], registry: 1 }),
      await serve("scoring", "scoring-0", { lanes: [lane], registry: 1 }),
      await serve("scoring", "scoring-1", { lanes: [], registry: 1 }),
    ];
    const terminal = recordedTerminal(env("admin"));
    // Four services are missing, so the system is not up.
    expect(await runCli(["status", "--json"], terminal)).toBe(1);
    const answer = JSON.parse(terminal.stdout()) as Record<string, unknown>;
    expect(answer).toMatchObject({
      status: "down",
      missing: ["ingest", "routing", "intelligence", "edge"],
      instances: [
        { instance: "auth-0", service: "auth", pid: 4711, state: "up" },
        { instance: "scoring-0", lanes: [lane] },
        { instance: "scoring-1", lanes: [] },
      ],
      lanes: [{ family: "visits", owner: "scoring-0", lane: 5, epoch: 2, lag: 3 }],
    });
    expect(answer["streams"]).toContainEqual(expect.objectContaining({ stream: "REGISTRY", messages: 1 }));
    const human = recordedTerminal(env("admin"));
    await runCli(["status"], human);
    expect(human.stdout()).toContain("! no instance of edge answers");
    expect(human.stdout()).toContain("! lanes of visits without an owner: 0-4,6-15");
    for (const service of running) service.stop();
  });
  it("fails clearly when NATS refuses", async () => {
    const terminal = recordedTerminal({ NATS_URL: server.url, NATS_USER: "admin", NATS_PASSWORD: "wrong" });
    expect(await runCli(["status"], terminal)).toBe(1);
    expect(terminal.stderr()).toMatch(/^headwater: no connection to NATS at nats:\/\/127\.0\.0\.1:\d+: /);
    expect(terminal.stderr()).not.toContain("wrong");
  });
});

describe("replay", () => {
  const folded = { in: 9, events: 8, keys: 7, hash: "aa", isComplete: true, durationMs: 6 };
  it.each([
    ["equal", { live: { hash: "aa" }, folded }, 0],
    ["different", { live: { hash: "bb" }, folded }, 1],
    ["incomplete", { live: { hash: "bb" }, folded: { ...folded, isComplete: false } }, 0],
  ])("tells an owner's answer: %s", async (verdict, answer, code) => {
    const owner = serveLaneRequests(await as("scoring"), "visits", 3, { verify: () => answer }, log);
    const terminal = recordedTerminal(env("admin"));
    expect(await runCli(["replay", "visits", "--lane", "3", "--json"], terminal)).toBe(code);
    expect(JSON.parse(terminal.stdout())).toMatchObject({
      ok: code === 0,
      family: "visits",
      lanes: [{ lane: 3, verdict, in: 9, events: 8 }],
    });
    owner.stop();
  });
  it("tells why an owner refused", async () => {
    const refuse = (): never => {
      throw new RpcError("busy", "the lane is never quiet", 503);
    };
    const owner = serveLaneRequests(await as("scoring"), "visits", 4, { verify: refuse }, log);
    const terminal = recordedTerminal(env("admin"));
    expect(await runCli(["replay", "visits", "--lane", "4"], terminal)).toBe(1);
    expect(terminal.stderr()).toBe("headwater: lane 4 of visits: the lane is never quiet\n");
    owner.stop();
  });
});

describe("operator API", () => {
  let api: Server;
  let url: string;
  const seen: { method: string; path: string; token: string; body: unknown }[] = [];
  let answer: { status: number; body: unknown } = { status: 200, body: {} };
  beforeAll(async () => {
    api = createServer((req, res) => {
      let text = "";
      req.on("data", (chunk) => (text += String(chunk)));
      req.on("end", () => {
        seen.push({
          method: req.method ?? "",
          path: req.url ?? "",
          token: req.headers.authorization ?? "",
          body: text === "" ? undefined : (JSON.parse(text) as unknown),
        });
        res.writeHead(answer.status, { "Content-Type": "application/json" }).end(JSON.stringify(answer.body));
      });
    });
    await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise<void>((resolve) => void api.close(() => resolve())));
  const run = async (...argv: string[]) => {
    const terminal = recordedTerminal({ HEADWATER_URL: url, HEADWATER_ADMIN_TOKEN: "secret-token" });
    const code = await runCli(argv, terminal);
    return { code, out: terminal.stdout(), err: terminal.stderr(), asked: seen.at(-1) };
  };

  it("creates a key and prints one JSON document", async () => {
    answer = { status: 201, body: { key: "cs_live_x", id: "key_1" } };
    const result = await run(
      ...["keys", "create", "--tenant", "acme", "--plan", "scale", "--scopes", "signals:read,events:write", "--type", "server"],
      ...["--prefix", "cs_srv_live", "--domains", "a.example,*.b.example", "--json"],
    );
    expect([result.code, result.err]).toEqual([0, ""]);
    expect(JSON.parse(result.out)).toEqual(answer.body);
    expect(result.asked).toEqual({
      method: "POST",
      path: "/admin/v1/keys",
      token: "Bearer secret-token",
      body: {
        tenant: "acme",
        plan: "scale",
        scopes: ["signals:read", "events:write"],
        type: "server",
        prefix: "cs_srv_live_",
        domains: ["a.example", "*.b.example"],
      },
    });
  });
  it("never puts a key into a URL", async () => {
    answer = { status: 200, body: { id: "key_1", revokedAt: "2026-01-01T00:00:00.000Z" } };
    const key = `cs_live_${"a".repeat(32)}`;
    expect((await run("keys", "revoke", "--key", key)).code).toBe(0);
    expect(seen.at(-1)?.path).toMatch(/^\/admin\/v1\/keys\/[0-9a-f]{64}$/);
    expect((await run("keys", "revoke", "--key", "key_1")).asked?.path).toBe("/admin/v1/keys/key_1");
  });
  it("lists tables", async () => {
    answer = { status: 200, body: { tenants: [{ slug: "acme", plan: "scale", name: "Acme", id: "ten_a", createdAt: "2026" }] } };
    expect((await run("tenants", "list")).out).toBe("TENANT  PLAN   NAME  ID     CREATED\nacme    scale  Acme  ten_a  2026\n");
    answer = { status: 200, body: { keys: [] } };
    expect((await run("keys", "list", "--tenant", "a b")).asked?.path).toBe("/admin/v1/keys?tenant=a%20b");
  });
  it("rebuilds the registry", async () => {
    answer = { status: 200, body: { restated: 3 } };
    const result = await run("rebuild", "registry");
    expect([result.asked?.method, result.asked?.path, result.out]).toEqual([
      "POST",
      "/admin/v1/rebuild/registry",
      "3 facts were missing and are told again\n",
    ]);
  });
  it("tells a refusal in one line, exit 1", async () => {
    const problems = [{ path: "tenant", message: "lower-case" }];
    answer = { status: 400, body: { error: "invalid_request", message: "The request is not valid", problems } };
    const result = await run("tenants", "set-plan", "--tenant", "Acme", "--plan", "scale");
    expect([result.code, result.out]).toEqual([1, ""]);
    expect(result.err).toBe("headwater: invalid_request: The request is not valid (tenant: lower-case)\n");
  });
});
