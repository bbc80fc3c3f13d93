/**
 * What each service's NATS user may and may not do, against a real server that runs with the permissions of packages/protocol.
 * First everything a service needs works, then everything else is refused; subjects here are literal, so that the table is not its own judge.
 */
import {
  KV_CFG,
  KV_LEASE,
  LANE_COUNT,
  NATS_USERS,
  type NatsUser,
  natsPermissions,
  SERVICES,
  streamSpecs,
  subjects,
} from "@headwater/protocol";
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectionOf, type Nats, openNats } from "./connection.ts";
import { openLeaseBucket, readLaneCount } from "./lease-bucket.ts";
import { createPublisher } from "./publisher.ts";
import { openReader } from "./reader.ts";
import { openRegistry } from "./registry-view.ts";
import { callService, serveRequests } from "./service.ts";
import { bindStreams, ensureStreams, getMessage, purgeStream, streamState } from "./streams.ts";

const log = quietLogger();
const specs = streamSpecs("laptop");
const BUCKET = { replicas: 1, maxBytes: 1024 * 1024 };

class Member {
  readonly nats: Nats;
  readonly #refused: string[] = [];

  constructor(nats: Nats) {
    this.nats = nats;
    void this.#watch();
  }

  async #watch(): Promise<void> {
    for await (const status of connectionOf(this.nats).status()) {
      if (status.type === "error") this.#refused.push(status.error.message);
    }
  }

  /** Publishes to each subject and tells which the server refused. The marker is always refused, and refusals come in order. */
  async refusedPublishes(names: readonly string[]): Promise<string[]> {
    this.#refused.length = 0;
    const marker = `nobody.may.${Math.random().toString(36).slice(2)}`;
    for (const name of [...names, marker]) this.nats.core.publish(name, "");
    await until("marker refused", () => this.#refused.some((text) => text.includes(marker)));
    return names.filter((name) => this.#refused.some((text) => text.includes(`"${name}"`)));
  }

  async refusesSubscription(name: string): Promise<boolean> {
    this.#refused.length = 0;
    const sub = connectionOf(this.nats).subscribe(name, { callback: () => undefined });
    await this.nats.flush();
    await this.refusedPublishesAfter();
    sub.unsubscribe();
    return this.#refused.some((text) => text.includes(`"${name}"`));
  }

  /** Everything the server had to say before is here when the marker's refusal is. */
  async refusedPublishesAfter(): Promise<void> {
    const marker = `nobody.may.${Math.random().toString(36).slice(2)}`;
    this.nats.core.publish(marker, "");
    await until("marker refused", () => this.#refused.some((text) => text.includes(marker)));
  }
}

let server: TestNats;
const members = new Map<NatsUser, Member>();
const member = (user: NatsUser): Member => {
  const found = members.get(user);
  if (!found) throw new Error(`not connected: ${user}`);
  return found;
};

beforeAll(async () => {
  server = await startNats({ users: NATS_USERS.map((user) => ({ user, password: `pw-${user}`, permissions: natsPermissions(user) })) });
  for (const user of NATS_USERS) {
    members.set(user, new Member(await openNats({ url: server.url, user, password: `pw-${user}`, name: user, log })));
  }
});
afterAll(async () => {
  for (const { nats } of members.values()) await nats.drain();
  await server.stop();
});

describe("what a service needs works", () => {
  it("each owner makes its streams, everybody binds to them", async () => {
    for (const service of SERVICES) {
      await ensureStreams(
        member(service).nats,
        specs.filter((spec) => spec.owner === service),
        { replicas: 1 },
      );
    }
    const names = specs.map((spec) => spec.name);
    for (const user of NATS_USERS) await bindStreams(member(user).nats, names, { withinMs: 1_000 });
  });

  it("an owner starts a second time on its existing streams", async () => {
    const own = specs.filter((spec) => spec.owner === "ingest");
    await ensureStreams(member("ingest").nats, own, { replicas: 1 });
  });

  it.each(SERVICES)("%s agrees on the lane count and follows the registry", async (service) => {
    const { nats } = member(service);
    expect(await readLaneCount(nats, LANE_COUNT, BUCKET)).toBe(LANE_COUNT);
    const registry = await openRegistry(nats, { log });
    await registry.stop();
  });

  it.each(["scoring", "routing", "intelligence"] as const)("%s holds leases", async (service) => {
    const { nats } = member(service);
    const bucket = await openLeaseBucket(nats, { ...BUCKET, log });
    const revision = await bucket.create(`test.${service}`, "me", 5_000);
    expect(revision).toBeTypeOf("number");
    expect(await bucket.renew(`test.${service}`, "me", revision ?? 0, 5_000)).toBeTypeOf("number");
    expect(await bucket.remove(`test.${service}`)).toBe(true);
    bucket.close();
  });

  it("each writer appends to its logs", async () => {
    const appends: [NatsUser, string[]][] = [
      ["ingest", [subjects.lane("visits", 0), subjects.lane("visits", 15), subjects.lane("consents", 3)]],
      ["scoring", [subjects.lane("signals", 0), subjects.lane("erasures", 15)]],
      ["auth", [subjects.registry("tenant", "t1")]],
      ["edge", [subjects.socketSession("k1")]],
      ...SERVICES.map((service): [NatsUser, string[]] => [service, [subjects.deadLetters(service)]]),
    ];
    for (const [user, names] of appends) {
      const publisher = createPublisher(member(user).nats);
      for (const name of names) expect((await publisher.publish(name, "{}")).seq, name).toBeGreaterThan(0);
      publisher.close();
    }
  });

  it.each(NATS_USERS)("%s reads a stream from its start", async (user) => {
    const { nats } = member(user);
    const seen: number[] = [];
    const reader = openReader(nats, { stream: "SIGNALS", from: "all", onMessage: (msg) => void seen.push(msg.seq), log });
    await reader.caughtUp;
    await reader.stop();
    expect(seen).toEqual([1]);
    expect((await streamState(nats, "SIGNALS")).lastSeq).toBe(1);
  });

  it("the lane owner purges what it has folded", async () => {
    await purgeStream(member("scoring").nats, "VISITS_0", { seq: 2 });
    expect((await streamState(member("scoring").nats, "VISITS_0")).messages).toBe(0);
    expect(await getMessage(member("scoring").nats, "SIGNALS", 1)).toBeDefined();
  });

  it("everybody may ask auth, and gets auth's answer", async () => {
    const served = serveRequests(member("auth").nats, {
      name: "auth",
      version: "1.0.0",
      description: "test",
      instanceId: "auth-0",
      metadata: {},
      statsData: () => ({}),
      endpoints: { verify: () => ({ ok: false, code: "invalid" }) },
      log,
    });
    await member("auth").nats.flush();
    for (const user of [...SERVICES, "admin"] as const) {
      expect(await callService(member(user).nats, "auth", "verify", {})).toEqual({ ok: false, code: "invalid" });
    }
    served.stop();
  });
});

describe.each(NATS_USERS)("what is none of the business of %s", (user) => {
  const writers: Record<string, readonly NatsUser[]> = {
    "visits.3": ["ingest"],
    "consents.3": ["ingest"],
    "signals.3": ["scoring"],
    "erasures.3": ["scoring"],
    "registry.key.k1": ["auth"],
    "presence.edge-0": ["edge"],
    "sockets.k1": ["edge"],
    "feeds.3": ["ingest"],
    "topics.3": ["routing"],
    "analyses.3": ["intelligence"],
    "llm.call": ["intelligence", "edge"],
    "llm.control.x": ["intelligence", "edge"],
    [`$KV.${KV_LEASE}.visits.3`]: ["auth", "ingest", "scoring", "routing", "intelligence"],
    [`$KV.${KV_CFG}.lane_count`]: SERVICES,
    "svc.auth.verify": [...SERVICES, "admin"],
    "svc.scoring.status": ["admin"],
    "rpc.visits.3.context": ["ingest", "scoring", "admin"],
    "$JS.API.STREAM.PURGE.VISITS_3": ["scoring"],
    ...Object.fromEntries(SERVICES.map((service) => [`dlq.${service}`, [service]])),
  };
  const forbidden = [
    ...Object.entries(writers).flatMap(([name, allowed]) => (allowed.includes(user) ? [] : [name])),
    ...specs.flatMap(({ name, owner }) => [
      ...(owner === user ? [] : [`$JS.API.STREAM.CREATE.${name}`, `$JS.API.STREAM.UPDATE.${name}`]),
      ...(name.startsWith("VISITS_") && user === "scoring" ? [] : [`$JS.API.STREAM.PURGE.${name}`]),
      `$JS.API.STREAM.DELETE.${name}`,
      `$JS.API.STREAM.MSG.DELETE.${name}`,
      `$JS.API.STREAM.SNAPSHOT.${name}`,
    ]),
    `$JS.API.STREAM.DELETE.KV_${KV_LEASE}`,
    `$JS.API.STREAM.DELETE.KV_${KV_CFG}`,
    `$JS.API.STREAM.PURGE.KV_${KV_CFG}`,
    "$JS.API.STREAM.CREATE.ANYTHING",
    "$JS.API.STREAM.RESTORE.SIGNALS",
    "$JS.API.ACCOUNT.PURGE.x",
    "$SYS.REQ.SERVER.PING",
  ];

  it("publishing to it is refused", async () => {
    expect(await member(user).refusedPublishes(forbidden)).toEqual(forbidden);
  });

  it("changes nothing", async () => {
    const { nats } = member("admin");
    for (const spec of specs) expect((await streamState(nats, spec.name)).lastSeq, spec.name).toBeLessThanOrEqual(6);
    expect((await streamState(nats, "SIGNALS")).messages).toBe(1);
  });

  it("listening to requests of others is refused", async () => {
    if (user === "admin") return;
    for (const other of SERVICES) {
      if (other === user) continue;
      expect(await member(user).refusesSubscription(`svc.${other}.verify`), other).toBe(true);
    }
    expect(await member(user).refusesSubscription("rpc.visits.3.context")).toBe(user !== "scoring");
    // Questions are private, and a listener that does not answer would look like a service that does.
    expect(await member(user).refusesSubscription(subjects.llmCall())).toBe(user !== "intelligence");
  });
});

describe("inboxes", () => {
  it.each(NATS_USERS)("%s neither reads nor forges the answers others wait for", async (user) => {
    for (const other of NATS_USERS) {
      if (other === user) continue;
      const inbox = `_INBOX_${other}.x.1`;
      expect(await member(user).refusedPublishes([inbox]), other).toEqual([inbox]);
      if (user !== "admin") expect(await member(user).refusesSubscription(`_INBOX_${other}.>`), other).toBe(true);
    }
  });
});

describe("read-only users", () => {
  it.each(["admin", "tap"] as const)("%s cannot answer in the name of a service", async (user) => {
    const forged = ["_INBOX_auth.somebody.1", "_INBOX_edge.x", "_INBOX.x"];
    expect(await member(user).refusedPublishes(forged)).toEqual(forged);
  });
  it("tap sees new messages of any log as plain text", async () => {
    const seen: string[] = [];
    const sub = member("tap").nats.core.subscribe("signals.*", { callback: (msg) => void seen.push(new TextDecoder().decode(msg.data)) });
    await member("tap").nats.flush();
    const publisher = createPublisher(member("scoring").nats);
    await publisher.publish(subjects.lane("signals", 5), "hello");
    await until("tap saw it", () => seen.includes("hello"));
    publisher.close();
    sub.unsubscribe();
  });
});
