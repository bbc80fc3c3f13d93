/**
 * Secrets of an account and the references of its feeds, over HTTP with real PostgreSQL and NATS: what the registry is told holds the values,
 * nothing else ever does; who may name which; what happens when a secret and a feed change at once.
 */
import { openPool } from "@headwater/postgres";
import { FeedSecrets } from "@headwater/protocol";
import { createSealer } from "@headwater/runtime";
import { collectingLogger, until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { createFeedVault } from "./adapters/feed-secrets.ts";
import { FeedStore } from "./adapters/feed-store.ts";
import { createSecretVault } from "./adapters/user-secrets.ts";
import { type Answer, type Caller, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

const SECRETS = "/api/settings/user/secrets";
const FEEDS = "/api/marketplace/feeds";
/** Begins every value of this file; must be in no table, message, answer or log line. */
const MARK = "v4lue-";

const collected = collectingLogger("trace");
let routing: RoutingFixture;
beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl"), instances: 2, log: collected.log });
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

const message = (answer: Answer): unknown[] => [answer.status, answer.body["message"]];
const data = (answer: Answer): Record<string, unknown> => answer.body["data"] as Record<string, unknown>;
const set = (as: Caller, name: string, value: unknown, at = 0) => routing.call("PUT", `${SECRETS}/${name}`, { as, at, body: { value } });
const remove = (as: Caller, name: string, at = 0) => routing.call("DELETE", `${SECRETS}/${name}`, { as, at });
const listed = async (as: Caller): Promise<unknown[]> =>
  (await routing.call("GET", SECRETS, { as })).body["data"] as Record<string, unknown>[];
const headers = (...values: string[]) => values.map((value, i) => ({ key: `X-${i}`, value }));

/** What ingest reads in the newest record of a feed. */
function told(feedId: string): FeedSecrets | undefined {
  const sealed = routing.record(feedId)?.sealed;
  if (!sealed) return undefined;
  return FeedSecrets.parse(JSON.parse(createSealer(routing.deps.secrets.encryptionKey).unseal(sealed, `feed:${feedId}`)));
}
const toldHeader = (feedId: string): string | undefined => told(feedId)?.headers[0]?.value;

describe("secrets", () => {
  it("are set, listed by name and deleted; nobody is shown a value", async () => {
    const dev = routing.caller();
    expect((await routing.call("GET", SECRETS, { as: dev })).body).toEqual({ success: true, data: [], count: 0 });
    const made = await set(dev, "B_token", `${MARK}1`);
    const time = expect.stringMatching(/^\d{4}-.*Z$/);
    expect([made.status, made.body]).toEqual([200, { success: true, data: { name: "B_token", createdAt: time, updatedAt: time } }]);
    await set(dev, "A_token", `${MARK}2`);
    const again = data(await set(dev, "B_token", `${MARK}3`));
    expect(again["createdAt"]).toBe(data(made)["createdAt"]);
    expect(Date.parse(String(again["updatedAt"]))).toBeGreaterThanOrEqual(Date.parse(String(again["createdAt"])));
    expect(await listed(dev)).toEqual([expect.objectContaining({ name: "A_token" }), again]);
    expect((await remove(dev, "B_token")).body).toEqual({ success: true });
    expect(message(await remove(dev, "B_token"))).toEqual([404, "secret not found"]);
    expect(await listed(dev)).toHaveLength(1);
  });

  it("are of one account", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    await set(dev, "A", `${MARK}a`);
    expect(await listed(other)).toEqual([]);
    expect(message(await remove(other, "A"))).toEqual([404, "secret not found"]);
    // Another one of the same name, not the same one.
    expect((await set(other, "A", `${MARK}b`)).status).toBe(200);
    const id = await routing.feed(dev, { headers: headers("${secret:A}") });
    expect(toldHeader(id)).toBe(`${MARK}a`);
    expect((await remove(other, "A")).status).toBe(200);
    expect(await listed(dev)).toHaveLength(1);
  });

  it.each(["1A", "A-B", "A.B", "%20", "A%20", "%C3%84", "%00", "A".repeat(65), "%24%7Bsecret%3AA%7D"])(
    "cannot be called %s",
    async (name) => {
      const dev = routing.caller();
      expect(message(await set(dev, name, `${MARK}x`))).toEqual([400, "invalid payload"]);
      expect(message(await remove(dev, name))).toEqual([404, "secret not found"]);
      expect(await listed(dev)).toEqual([]);
    },
  );

  it.each(["_", "constructor", "__proto__", "A".repeat(64)])("can be called %s", async (name) => {
    const dev = routing.caller();
    expect((await set(dev, name, `${MARK}${name}`)).status).toBe(200);
    const id = await routing.feed(dev, { headers: headers(`\${secret:${name}}`) });
    expect(toldHeader(id)).toBe(`${MARK}${name}`);
  });

  it("have 1 to 4,096 bytes without control characters", async () => {
    const dev = routing.caller();
    for (const body of ["{", "[]", {}, { value: "" }, { value: 5 }, { value: null }, { value: "a\u0000b" }, { value: "a\nb" }, { value: "\u007f" },
      '{"value":"\\ud800"}', { value: "x".repeat(4_097) }, { value: "é".repeat(2_049) }]) {
      expect(message(await routing.call("PUT", `${SECRETS}/A`, { as: dev, body }))).toEqual([400, "invalid payload"]);
    } // biome-ignore format: one list
    expect(await listed(dev)).toEqual([]);
    for (const value of ["x", "é".repeat(2_048), " x ", "\u{1f511}"]) expect((await set(dev, "A", value)).status).toBe(200);
  });

  it("are at most a hundred, also when many come at once", async () => {
    const dev = routing.caller();
    await set(dev, "A", `${MARK}a`);
    await routing.sql(
      "INSERT INTO routing.user_secrets SELECT user_id, 'S' || n, sealed, created_at, updated_at FROM routing.user_secrets, generate_series(1, 97) AS n WHERE user_id = $1",
      [dev.userId],
    );
    const answers = await Promise.all(["W", "X", "Y", "Z"].map((name, i) => set(dev, name, `${MARK}z`, i % 2)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(2);
    for (const answer of answers.filter(({ status }) => status !== 200)) expect(message(answer)).toEqual([403, "secret limit reached"]);
    expect((await set(dev, "A", `${MARK}b`)).status).toBe(200);
  });

  it("need a login", async () => {
    for (const [method, path] of [["GET", SECRETS], ["PUT", `${SECRETS}/A`], ["DELETE", `${SECRETS}/A`]] as const) {
      expect(message(await routing.call(method, path))).toEqual([401, "missing token"]);
    } // biome-ignore format: one table
  });
});

describe("references", () => {
  it("are what the owner sees and the database keeps; the registry is told what they stand for", async () => {
    const dev = routing.caller();
    await set(dev, "USER", `${MARK}user`);
    await set(dev, "PASS", `${MARK}pass`);
    const written = {
      headers: headers("Basic ${secret:USER}:${secret:PASS}", "${secret:1}", "${SECRET:USER}"),
      queryParams: [{ key: "token", value: "${secret:PASS}" }],
      connectionMessage: "${secret:USER}",
      httpConfig: { requestHeaders: { "X-Key": "${secret:PASS}" }, requestBody: "${secret:PASS}" },
    };
    const id = await routing.feed(dev, { ...written, isPublic: true });
    const mine = data(await routing.call("GET", `${FEEDS}/${id}`, { as: dev }));
    expect(mine).toMatchObject(written);
    expect(told(id)).toMatchObject({
      headers: headers(`Basic ${MARK}user:${MARK}pass`, "${secret:1}", "${SECRET:USER}"),
      queryParams: [{ key: "token", value: `${MARK}pass` }],
      connectionMessage: "${secret:USER}",
      httpConfig: { requestHeaders: { "X-Key": `${MARK}pass` }, requestBody: "${secret:PASS}" },
    });
    expect((await routing.call("GET", `${FEEDS}/${id}`, { as: routing.caller() })).text).not.toMatch(/secret|v4lue/);
  });

  it("to what its owner does not have are refused by name: create, change, test; nothing is stored", async () => {
    const dev = routing.caller();
    await set(dev, "A", `${MARK}a`);
    const id = await routing.feed(dev, { headers: headers("${secret:A}") });
    const before = routing.told(id);
    const refused = [400, "secret not found: MISSING"];
    const body = { name: "x", url: "wss://feed.example.com", queryParams: [{ key: "k", value: "${secret:A}${secret:MISSING}" }] };
    const made = await routing.call("POST", FEEDS, { as: dev, body });
    expect(message(made)).toEqual(refused);
    expect(made.body).toMatchObject({ success: false, code: "SECRET_UNKNOWN" });
    expect(message(await routing.call("PUT", `${FEEDS}/${id}`, { as: dev, body }))).toEqual(refused);
    expect(message(await routing.call("POST", "/api/marketplace/test-feed", { as: dev, body }))).toEqual(refused);
    expect((await routing.call("GET", "/api/marketplace/my-feeds", { as: dev })).body["count"]).toBe(1);
    expect(data(await routing.call("GET", `${FEEDS}/${id}`, { as: dev }))).toMatchObject({ name: "Feed", headers: headers("${secret:A}") });
    await routing.services[0]?.settled();
    expect(routing.told(id)).toBe(before);
  });

  it("to a secret of somebody else are answered like those to none", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    await set(dev, "THEIRS", `${MARK}theirs`);
    await routing.feed(dev, { headers: headers("${secret:THEIRS}") });
    const mine = await routing.feed(other);
    for (const [method, path] of [["POST", FEEDS], ["PUT", `${FEEDS}/${mine}`], ["POST", "/api/marketplace/test-feed"], ["DELETE", `${SECRETS}/NAME`]] as const) {
      const ask = async (name: string): Promise<unknown> => {
        const body = { name: "x", url: "wss://feed.example.com", headers: headers(`\${secret:${name}}`) };
        const answer = await routing.call(method, path.replace("NAME", name), { as: other, ...(method === "DELETE" ? {} : { body }) });
        const shown = [...answer.headers].filter(([header]) => !["date", "x-request-id"].includes(header));
        return [answer.status, answer.text.replaceAll(name, "NAME"), shown];
      };
      const [foreign, unknown] = [await ask("THEIRS"), await ask("RANDOM")];
      expect(foreign).toEqual(unknown);
      expect(JSON.stringify(foreign)).toContain("secret not found");
    } // biome-ignore format: one table
  });

  it("are resolved for a test, in which ingest gets the values", async () => {
    const dev = routing.caller();
    await set(dev, "A", `${MARK}a`);
    const test = routing.ingest.test;
    const seen: FeedSecrets[] = [];
    try {
      routing.ingest.test = (request) => {
        seen.push(request.secrets);
        return { ok: true };
      };
      const body = { url: "wss://feed.example.com", headers: headers("${secret:A}") };
      expect((await routing.call("POST", "/api/marketplace/test-feed", { as: dev, body })).status).toBe(200);
    } finally {
      routing.ingest.test = test;
    }
    expect(seen).toEqual([{ queryParams: [], headers: headers(`${MARK}a`) }]);
  });

  it("obey the limits of any value and feed, whichever side grows", async () => {
    const dev = routing.caller();
    const long = (n: number): string => MARK.padEnd(n, "x");
    await set(dev, "A", long(4_096));
    const twice = headers("${secret:A}${secret:A}!");
    const body = { name: "x", url: "wss://feed.example.com" };
    expect(message(await routing.call("POST", FEEDS, { as: dev, body: { ...body, headers: twice } }))).toEqual([400, "invalid payload"]);
    const many = Array.from({ length: 70 }, (_, i) => ({ key: `h${i}`, value: "${secret:A}${secret:A}" }));
    expect(message(await routing.call("POST", FEEDS, { as: dev, body: { ...body, headers: many } }))).toEqual([400, "feed is too large"]);
    await set(dev, "A", long(4_095));
    const wide = await routing.feed(dev, { headers: twice });
    expect(message(await set(dev, "A", long(4_096)))).toEqual([400, "invalid payload"]);
    await set(dev, "B", long(2_000));
    const large = await routing.feed(dev, {
      headers: Array.from({ length: 90 }, (_, i) => ({ key: `h${i}`, value: "${secret:B}${secret:B}" })),
    });
    const before = [routing.told(wide), routing.told(large)];
    expect(message(await set(dev, "B", long(3_000)))).toEqual([400, "feed is too large"]);
    // What is written beside the credentials counts with their values.
    const topicPrompts = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`t${i}`, { question: "x".repeat(4_000) }]));
    expect(message(await routing.call("PUT", `${FEEDS}/${large}`, { as: dev, body: { topicPrompts } }))).toEqual([
      400,
      "feed is too large",
    ]);
    await routing.services[0]?.settled();
    expect([routing.told(wide), routing.told(large)]).toEqual(before);
    expect([toldHeader(wide)?.length, toldHeader(large)?.length]).toEqual([8_191, 4_000]);
  });
});

describe("a change", () => {
  it("of the value reaches every feed that refers to it, and no other", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    await Promise.all([set(dev, "A", `${MARK}1`), set(dev, "B", `${MARK}b`), set(other, "A", `${MARK}other`)]);
    const both = await routing.feed(dev, { headers: headers("${secret:A} ${secret:B}") });
    const query = await routing.feed(dev, { queryParams: [{ key: "k", value: "${secret:A}" }], isActive: false });
    const rest = [
      await routing.feed(dev, { headers: headers("${secret:B}") }),
      await routing.feed(dev, { connectionMessage: "${secret:A}" }),
      await routing.feed(other, { headers: headers("${secret:A}") }),
    ];
    const before = rest.map((id) => routing.record(id));
    const shown = data(await routing.call("GET", `${FEEDS}/${both}`, { as: dev }));
    expect((await set(dev, "A", `${MARK}2`, 1)).status).toBe(200);
    await until("both are told", () => toldHeader(both) === `${MARK}2 ${MARK}b` && told(query)?.queryParams[0]?.value === `${MARK}2`);
    await Promise.all(routing.services.map((service) => service.settled()));
    expect(rest.map((id) => routing.record(id))).toEqual(before);
    expect(data(await routing.call("GET", `${FEEDS}/${both}`, { as: dev }))).toEqual(shown);
    // The same value again is no news.
    const count = routing.told(both);
    expect((await set(dev, "A", `${MARK}2`)).status).toBe(200);
    await Promise.all(routing.services.map((service) => service.settled()));
    expect(routing.told(both)).toBe(count);
  });

  it("of the value reaches more feeds than are handled at once, or none", async () => {
    const dev = routing.caller();
    await set(dev, "A", `${MARK}1`);
    const ids: string[] = [];
    while (ids.length < 110) {
      const ten = Array.from({ length: 10 }, () => routing.feed(dev, { headers: headers("${secret:A}") }));
      ids.push(...(await Promise.all(ten)));
    }
    const last = ids.toSorted().at(-1) ?? "";
    await routing.call("PUT", `${FEEDS}/${last}`, { as: dev, body: { headers: headers("${secret:A}".repeat(3)) } });
    await until("the last one is told", () => toldHeader(last) === `${MARK}1`.repeat(3));
    const before = ids.map((id) => routing.record(id));
    expect(message(await set(dev, "A", MARK.padEnd(4_096, "x")))).toEqual([400, "invalid payload"]);
    await Promise.all(routing.services.map((service) => service.settled()));
    expect(ids.map((id) => routing.record(id))).toEqual(before);
    expect(toldHeader(await routing.feed(dev, { headers: headers("${secret:A}") }))).toBe(`${MARK}1`);
    expect((await set(dev, "A", `${MARK}2`)).status).toBe(200);
    await until("all are told", () => ids.every((id) => toldHeader(id) === `${MARK}2`.repeat(id === last ? 3 : 1)));
  }, 60_000);

  it("of something else of a feed keeps the seal; of its credentials, seals what they stand for now", async () => {
    const dev = routing.caller();
    await set(dev, "A", `${MARK}a`);
    const id = await routing.feed(dev, { headers: headers("${secret:A}") });
    const put = (body: unknown) => routing.call("PUT", `${FEEDS}/${id}`, { as: dev, body });
    const { sealed } = routing.record(id) ?? {};
    await put({ name: "Other", headers: headers("${secret:A}") });
    await until("the name is known", () => routing.record(id)?.name === "Other");
    expect(routing.record(id)?.sealed).toEqual(sealed);
    await put({ headers: headers("plain") });
    await until("it is plain", () => toldHeader(id) === "plain");
    await put({ headers: headers("again ${secret:A}") });
    await until("it refers again", () => toldHeader(id) === `again ${MARK}a`);
    await put({ headers: null });
    await until("it has none", () => told(id) === undefined);
  });

  it("that takes a secret away waits for the last feed that refers to it", async () => {
    const dev = routing.caller();
    await set(dev, "A", `${MARK}a`);
    const changed = await routing.feed(dev, { headers: headers("${secret:A}") });
    const deleted = await routing.feed(dev, { queryParams: [{ key: "k", value: "${secret:A}" }] });
    const inUse = async (): Promise<void> => {
      expect(message(await remove(dev, "A"))).toEqual([409, "secret is in use"]);
    };
    await inUse();
    await routing.call("PUT", `${FEEDS}/${changed}`, { as: dev, body: { headers: headers("a") } });
    await inUse();
    await routing.call("DELETE", `${FEEDS}/${deleted}`, { as: dev });
    expect((await remove(dev, "A")).status).toBe(200);
  });

  describe("at the same time as a feed that refers to it", () => {
    const ROUNDS = 20;
    const body = { name: "x", url: "wss://feed.example.com", headers: headers("${secret:A}") };

    const create = async (as: Caller): Promise<Answer> => await routing.call("POST", FEEDS, { as, body });
    const change = async (as: Caller, id: string): Promise<Answer> => await routing.call("PUT", `${FEEDS}/${id}`, { as, body });
    const plain = async (as: Caller, id: string): Promise<Answer> =>
      await routing.call("PUT", `${FEEDS}/${id}`, { as, body: { headers: null } });

    it("leaves no reference to nothing", async () => {
      const dev = routing.caller();
      const id = await routing.feed(dev);
      for (let round = 0; round < ROUNDS; round++) {
        await set(dev, "A", `${MARK}${round}`);
        const [made, changed, gone] = await Promise.all([create(dev), change(dev, id), remove(dev, "A", 1)]);
        expect(["201", "400"]).toContain(String(made.status));
        expect(["200", "400"]).toContain(String(changed.status));
        expect(gone.status).toBe(made.status === 201 || changed.status === 200 ? 409 : 200);
        if (made.status === 201) await routing.call("DELETE", `${FEEDS}/${String(data(made)["_id"])}`, { as: dev });
        await plain(dev, id);
      }
    }, 60_000);

    it("leaves no old value", async () => {
      const dev = routing.caller();
      await set(dev, "A", `${MARK}first`);
      const id = await routing.feed(dev);
      for (let round = 0; round < ROUNDS; round++) {
        const value = `${MARK}${round}`;
        const [made, changed, replaced] = await Promise.all([create(dev), change(dev, id), set(dev, "A", value, 1)]);
        expect([made.status, changed.status, replaced.status]).toEqual([201, 200, 200]);
        const other = String(data(made)["_id"]);
        await until("both are told", () => toldHeader(id) === value && toldHeader(other) === value);
        await Promise.all([routing.call("DELETE", `${FEEDS}/${other}`, { as: dev }), plain(dev, id)]);
      }
    }, 60_000);
  });

  it("of many feeds at once and the times of their last messages do not wait for each other", async () => {
    const dev = routing.caller();
    await set(dev, "A", `${MARK}1`);
    const made = [
      await routing.feed(dev, { headers: headers("${secret:A}") }),
      await routing.feed(dev, { headers: headers("${secret:A}") }),
    ];
    const [first = "", second = ""] = made.toSorted();
    // Behind the other one in the table, too.
    await routing.sql("UPDATE routing.feeds SET description = 'later' WHERE id = $1", [first]);
    const sealer = createSealer(routing.deps.secrets.encryptionKey);
    const vaults = { feeds: createFeedVault(sealer, collected.log), secrets: createSecretVault(sealer, collected.log) };
    const pool = await openPool({ url: routing.deps.databaseUrl ?? "", max: 2, applicationName: "test", log: collected.log });
    const waiting = async (n: number): Promise<boolean> => {
      const sessions = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
      return (await routing.sql(sessions)).length === n;
    };
    const holder = await pool.connect();
    try {
      await holder.query("BEGIN");
      await holder.query("SELECT 1 FROM routing.feeds WHERE id = $1 FOR UPDATE", [first]);
      const setting = set(dev, "A", `${MARK}2`);
      await until("the secret waits", () => waiting(1));
      const store = new FeedStore({ pool, now: () => new Date() }, vaults);
      const touching = store.touch(new Map([second, first].map((id) => [id, 1_000])));
      await until("both wait", () => waiting(2));
      await holder.query("COMMIT");
      const [answer] = await Promise.all([setting, touching]);
      expect(answer.status).toBe(200);
    } finally {
      holder.release();
      await pool.end();
    }
    for (const id of made) {
      await until("it is told", () => toldHeader(id) === `${MARK}2`);
      expect(data(await routing.call("GET", `${FEEDS}/${id}`, { as: dev }))).toMatchObject({ lastActiveAt: "1970-01-01T00:00:01.000Z" });
    }
  });
});

it("one secret that cannot be opened any more stops nothing else, and is set again", async () => {
  const dev = routing.caller();
  await set(dev, "A", `${MARK}a`);
  await set(dev, "B", `${MARK}b`);
  const id = await routing.feed(dev, { headers: headers("${secret:A} ${secret:B}") });
  const only = await routing.feed(dev, { headers: headers("${secret:A}") });
  await routing.sql(`UPDATE routing.user_secrets SET sealed = sealed || '{"kid":"other"}' WHERE user_id = $1 AND name = 'B'`, [dev.userId]);
  const body = { headers: headers("${secret:B}") };
  expect(message(await routing.call("PUT", `${FEEDS}/${only}`, { as: dev, body }))).toEqual([400, "secret not found: B"]);
  expect((await set(dev, "A", `${MARK}a2`)).status).toBe(200);
  await until("one is told", () => toldHeader(only) === `${MARK}a2`);
  expect(toldHeader(id)).toBe(`${MARK}a ${MARK}b`);
  expect((await set(dev, "B", `${MARK}b2`)).status).toBe(200);
  await until("the other, too", () => toldHeader(id) === `${MARK}a2 ${MARK}b2`);
});

it("a restart tells nothing again, and what was lost as it was", async () => {
  const dev = routing.caller();
  await set(dev, "A", `${MARK}a`);
  const id = await routing.feed(dev, { headers: headers("${secret:A}") });
  await Promise.all(routing.services.map((service) => service.settled()));
  const count = routing.told(id);
  await routing.restart(1);
  await routing.services[1]?.settled();
  expect(routing.told(id)).toBe(count);
  await routing.sql("UPDATE routing.feeds SET name = 'Renamed' WHERE id = $1", [id]);
  await routing.restart(1);
  await until("it is told", () => routing.record(id)?.name === "Renamed");
  expect(toldHeader(id)).toBe(`${MARK}a`);
}, 60_000);

it("no value is in the database, in the registry or in a line of the log", async () => {
  for (const table of ["user_secrets", "secret_uses", "feeds", "outbox"]) {
    const rows = await routing.sql(`SELECT * FROM routing.${table}`);
    expect(rows.length, table).toBeGreaterThan(0);
    expect(JSON.stringify(rows), table).not.toContain(MARK);
  }
  expect(JSON.stringify(routing.registry.list("feed"))).not.toContain(MARK);
  const messages = collected.messages();
  expect(messages).toEqual(expect.arrayContaining(["routing.secret_set", "routing.secret_deleted", "routing.secret_unreadable"]));
  expect(JSON.stringify(collected.lines())).not.toContain(MARK);
});
