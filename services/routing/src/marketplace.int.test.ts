/** Feeds over HTTP with real PostgreSQL and NATS: create, read, change, delete; every error row by status and message. */
import { until } from "@headwater/testkit";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Answer, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl"), instances: 2 });
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

const FEEDS = "/api/marketplace/feeds";
const NOBODY = "f".repeat(24);
const message = (answer: Answer): unknown[] => [answer.status, answer.body["message"]];
const data = (answer: Answer): Record<string, unknown> => answer.body["data"] as Record<string, unknown>;
const MINIMAL = {
  name: "My Custom Feed",
  description: "Description of what this feed provides",
  url: "wss://example.com/stream",
  category: "technology",
  isPublic: false,
  connectionType: "websocket",
};

describe("create", () => {
  it("answers the documented object, member by member, in its order", async () => {
    const dev = routing.caller("Dev One");
    const made = await routing.call("POST", FEEDS, { as: dev, body: MINIMAL });
    expect(made.status).toBe(201);
    const feed = data(made);
    expect(Object.keys(made.body)).toEqual(["data", "success"]);
    expect(Object.entries(feed)).toEqual([
      ["_id", expect.stringMatching(/^[0-9a-f]{24}$/)],
      ["name", "My Custom Feed"],
      ["description", "Description of what this feed provides"],
      ["url", "wss://example.com/stream"],
      ["category", "technology"],
      ["isActive", true],
      ["isVerified", false],
      ["isPublic", false],
      ["feedType", "user"],
      ["userId", dev.userId],
      ["ownerName", "Dev One"],
      ["connectionType", "websocket"],
      ["connectionMessages", []],
      ["reconnectionEnabled", true],
      ["subscriberCount", 0],
      ["tags", null],
      ["enableTopicRouting", false],
      ["createdAt", expect.stringMatching(/^\d{4}-.*Z$/)],
      ["updatedAt", feed["createdAt"]],
    ]);
    // The creator is subscribed.
    expect(data(await routing.call("GET", `${FEEDS}/${String(feed["_id"])}`, { as: dev, at: 1 }))).toMatchObject({ subscriberCount: 1 });
    await until("everybody knows", () => routing.record(String(feed["_id"]))?.hasSubscriptions === true);
  });

  it("takes messages as text or objects, trims, drops blank ones; http is http-polling", async () => {
    const dev = routing.caller();
    const made = await routing.call("POST", FEEDS, {
      as: dev,
      body: {
        name: " Polled ",
        url: "https://example.com/data",
        connectionType: "http",
        connectionMessages: ['  {"a": 1} ', " ", { type: "subscribe", ids: [1, 2] }],
        httpConfig: { requestHeaders: [{ key: "X-Token", value: "s3cret" }], dataPath: "data[-2]" },
        tags: ["a", " a ", ""],
        topicPrompts: { BTC: { question: "why?" } },
      },
    });
    expect(made.status).toBe(201);
    expect(data(made)).toMatchObject({
      name: "Polled",
      connectionType: "http-polling",
      connectionMessages: ['{"a": 1}', '{"type":"subscribe","ids":[1,2]}'],
      tags: ["a"],
      topicPrompts: { BTC: { question: "why?" } },
      httpConfig: { method: "GET", pollingInterval: 5_000, timeout: 10_000, requestHeaders: { "X-Token": "s3cret" }, dataPath: "data[-2]" },
    });
  });

  const bad: [string, unknown, string][] = [
    ["no JSON", "{", "invalid payload"],
    ["an array", [], "invalid payload"],
    ["no name", { url: MINIMAL.url }, "name is required"],
    ["a blank name", { ...MINIMAL, name: "  " }, "name is required"],
    ["a number as name", { ...MINIMAL, name: 5 }, "invalid payload"],
    ["a name of 201 characters", { ...MINIMAL, name: "x".repeat(201) }, "invalid payload"],
    ["a name with NUL", { ...MINIMAL, name: "a\u0000b" }, "invalid payload"],
    ["half a surrogate pair", `{"name":"a\\ud800","url":"wss://example.com"}`, "invalid payload"],
    ["NUL in a topic prompt", { ...MINIMAL, topicPrompts: { a: { question: "\u0000" } } }, "invalid payload"],
    ["no url", { name: "a" }, "url is invalid"],
    ["no scheme", { name: "a", url: "example.com" }, "url is invalid"],
    ["http for a socket", { name: "a", url: "https://example.com" }, "url is invalid"],
    ["a socket for polling", { name: "a", url: "wss://example.com", connectionType: "http-polling" }, "url is invalid"],
    ["credentials in the url", { name: "a", url: "wss://me:pass@example.com" }, "url is invalid"],
    ["a description of 2001 characters", { ...MINIMAL, description: "x".repeat(2_001) }, "invalid payload"],
    ["text as flag", { ...MINIMAL, isPublic: "yes" }, "invalid payload"],
    ["tags as number (W9)", { ...MINIMAL, tags: 5 }, "invalid payload"],
    ["an unknown connection", { ...MINIMAL, connectionType: "carrier-pigeon" }, "connectionType is invalid"],
    ["routing without field", { ...MINIMAL, enableTopicRouting: true }, "topicField is required when enableTopicRouting is true"],
    ["an empty field", { ...MINIMAL, topicField: "" }, "topicField is invalid: must not be empty"],
    ["a field that crashed others (W3)", { ...MINIMAL, topicField: "a]0[" }, "topicField is invalid: unexpected ]"],
    ["no text as field", { ...MINIMAL, topicField: 5 }, "topicField is invalid: must be a string"],
    ["an interval of 7", { ...MINIMAL, queryInterval: 7 }, "queryInterval must be one of 5, 10, 30, 60"],
    ["an interval in text", { ...MINIMAL, queryInterval: "5" }, "queryInterval must be one of 5, 10, 30, 60"],
    [
      "protobuf without schema (W37)",
      { ...MINIMAL, connectionType: "protobuf" },
      "protobufSchema and protobufType are required for protobuf",
    ],
    ["polling every ms", { ...MINIMAL, httpConfig: { pollingInterval: 1 } }, "httpConfig.pollingInterval must be at least 1000"],
    ["a bad data path", { ...MINIMAL, httpConfig: { dataPath: "a[" } }, "httpConfig.dataPath is invalid: missing ]"],
    ["a deadline before the ping", { ...MINIMAL, readTimeoutMs: 5_000 }, "readTimeoutMs must be longer than pingIntervalMs"],
    ["two mistakes, one not understood", { ...MINIMAL, queryInterval: 7, tags: 5 }, "invalid payload"],
  ];
  it.each(bad)("%s", async (_name, body, text) => {
    const answer = await routing.call("POST", FEEDS, { as: routing.caller(), body });
    expect(message(answer)).toEqual([400, text]);
    expect(answer.body).toMatchObject({ success: false, code: expect.any(String) });
  });

  it("says what ingest thinks of the url, and judges by its look while ingest is away (W8)", async () => {
    const dev = routing.caller();
    const verdict = routing.ingest.verdict;
    try {
      routing.ingest.verdict = () => "forbidden";
      expect(message(await routing.call("POST", FEEDS, { as: dev, body: MINIMAL }))).toEqual([400, "url is not allowed"]);
      routing.ingest.verdict = () => "invalid";
      expect(message(await routing.call("POST", FEEDS, { as: dev, body: MINIMAL }))).toEqual([400, "url is invalid"]);
      routing.ingest.stop();
      for (const url of ["ws://127.0.0.1", "ws://[::1]:80", "ws://169.254.169.254/latest", "ws://localhost"]) {
        expect(message(await routing.call("POST", FEEDS, { as: dev, body: { ...MINIMAL, url } }))).toEqual([400, "url is not allowed"]);
      }
      expect((await routing.call("POST", FEEDS, { as: dev, body: MINIMAL })).status).toBe(201);
    } finally {
      routing.ingest.verdict = verdict;
      routing.ingest.start();
    }
  });

  it("keeps the plan's limit when many come at once on two instances", async () => {
    const dev = routing.caller("Dev", { feeds: 3 });
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => routing.call("POST", FEEDS, { as: dev, body: MINIMAL, at: i % 2 })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(3);
    for (const answer of answers.filter(({ status }) => status !== 201)) expect(message(answer)).toEqual([403, "feed limit reached"]);
  });

  it("needs a token, and refuses what is too large", async () => {
    expect(message(await routing.call("POST", FEEDS, { body: MINIMAL }))).toEqual([401, "missing token"]);
    expect(message(await routing.call("POST", FEEDS, { body: MINIMAL, headers: { Authorization: "Bearer nonsense" } }))).toEqual([
      401,
      "invalid token",
    ]);
    const huge = { ...MINIMAL, description: "x".repeat(1_100_000) };
    expect(message(await routing.call("POST", FEEDS, { as: routing.caller(), body: huge }))).toEqual([413, "payload too large"]);
    const topicPrompts = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`t${i}`, { question: "x".repeat(4_000) }]));
    expect(message(await routing.call("POST", FEEDS, { as: routing.caller(), body: { ...MINIMAL, topicPrompts } }))).toEqual([
      400,
      "feed is too large",
    ]);
  });

  it("assigns nothing that is not the owner's to assign (W9)", async () => {
    const dev = routing.caller();
    const stranger = {
      _id: NOBODY,
      userId: NOBODY,
      ownerId: NOBODY,
      ownerName: "x",
      isVerified: true,
      feedType: "system",
      subscriberCount: 9,
      createdAt: "1999-01-01T00:00:00Z",
      tenantId: "t",
    };
    const made = data(await routing.call("POST", FEEDS, { as: dev, body: { ...MINIMAL, ...stranger } }));
    expect(made).toMatchObject({ userId: dev.userId, isVerified: false, feedType: "user", subscriberCount: 0 });
    const path = `${FEEDS}/${String(made["_id"])}`;
    const changed = data(await routing.call("PUT", path, { as: dev, body: { ...stranger, description: "new" } }));
    expect(changed).toEqual({ ...made, subscriberCount: 1, description: "new", updatedAt: expect.any(String) });
    for (const tags of [5, "a", [5], { a: 1 }]) {
      expect(message(await routing.call("PUT", path, { as: dev, body: { tags } }))).toEqual([400, "invalid payload"]);
    }
    expect((await routing.call("GET", FEEDS)).status).toBe(200);
  });
});

describe("credentials of upstreams (W7)", () => {
  const secrets = {
    queryParams: [{ key: "apiKey", value: "qp-s3cret" }],
    headers: [{ key: "Authorization", value: "Bearer h-s3cret" }],
    connectionMessage: '{"auth":"cm-s3cret"}',
    connectionMessageFormat: "json",
    httpConfig: { requestHeaders: { "X-Key": "rh-s3cret" }, requestBody: "rb-s3cret" },
  };
  it("are seen by the owner only, and are sealed in database and registry", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const id = await routing.feed(dev, { ...secrets, isPublic: true, name: "Secretive" });
    const mine = data(await routing.call("GET", `${FEEDS}/${id}`, { as: dev }));
    expect(mine).toMatchObject({
      queryParams: secrets.queryParams,
      headers: secrets.headers,
      connectionMessage: secrets.connectionMessage,
    });
    expect(JSON.stringify(mine["httpConfig"])).toContain("rb-s3cret");
    for (const path of [
      `${FEEDS}/${id}`,
      FEEDS,
      `${FEEDS}/popular?limit=100`,
      `${FEEDS}/recent?limit=100`,
      `${FEEDS}/search?q=secretive`,
    ]) {
      for (const as of [undefined, other]) {
        const answer = await routing.call("GET", path, as === undefined ? {} : { as });
        expect(answer.text).toContain(id);
        expect(answer.text).not.toContain("s3cret");
        expect(answer.text).not.toMatch(/"(queryParams|headers|httpConfig|connectionMessage|connectionMessageFormat|sealed|tenantId)"/);
      }
    }
    await routing.call("POST", `/api/marketplace/subscribe/${id}`, { as: other });
    expect((await routing.call("GET", "/api/marketplace/subscriptions", { as: other })).text).not.toContain("s3cret");
    expect(JSON.stringify(await routing.sql("SELECT * FROM routing.feeds"))).not.toContain("s3cret");
    expect(JSON.stringify(await routing.sql("SELECT * FROM routing.outbox"))).not.toContain("s3cret");
    expect(JSON.stringify(routing.registry.list("feed"))).not.toContain("s3cret");
    expect(routing.record(id)?.sealed).toBeDefined();
  });

  it("keep their seal when something else changes, and can be cleared", async () => {
    const dev = routing.caller();
    const id = await routing.feed(dev, secrets);
    const before = routing.record(id)?.sealed;
    await routing.call("PUT", `${FEEDS}/${id}`, { as: dev, body: { name: "Other" } });
    await until("the name is known", () => routing.record(id)?.name === "Other");
    expect(routing.record(id)?.sealed).toEqual(before);
    const cleared = await routing.call("PUT", `${FEEDS}/${id}`, {
      as: dev,
      body: { queryParams: null, headers: [], httpConfig: null, connectionMessage: "" },
    });
    expect(data(cleared)).not.toHaveProperty("headers");
    await until("nothing is sealed", () => routing.record(id)?.sealed === undefined);
  });
});

describe("change", () => {
  it("answers the whole feed, and everybody knows at once (W17)", async () => {
    const dev = routing.caller();
    const id = await routing.feed(dev);
    const before = routing.record(id);
    const changed = await routing.call("PUT", `${FEEDS}/${id}`, {
      as: dev,
      at: 1,
      body: {
        url: "wss://other.example.com/ws",
        connectionMessages: ["hello"],
        enableTopicRouting: true,
        topicField: " data.path[-1] ",
        topicPrompts: { BTCUSDT: { systemPrompt: "You are an analyst." } },
        queryInterval: 30,
        systemPrompt: "be brief",
        isActive: false,
      },
    });
    expect(changed.status).toBe(200);
    expect(Object.keys(changed.body)).toEqual(["success", "data"]);
    await until("the registry has it", () => routing.record(id)?.url === "wss://other.example.com/ws");
    expect(routing.record(id)).toMatchObject({
      ...before,
      url: "wss://other.example.com/ws",
      connectionMessages: ["hello"],
      enableTopicRouting: true,
      topicField: "data.path[-1]",
      topicPrompts: { BTCUSDT: { systemPrompt: "You are an analyst." } },
      queryInterval: 30,
      systemPrompt: "be brief",
      isActive: false,
      updatedAt: expect.any(String),
    });
    const cleared = data(await routing.call("PUT", `${FEEDS}/${id}`, { as: dev, body: { topicPrompts: null, queryInterval: null } }));
    expect(cleared).not.toHaveProperty("topicPrompts");
    expect(cleared).not.toHaveProperty("queryInterval");
    await until("that is known too", () => routing.record(id)?.queryInterval === undefined);
    expect(routing.record(id)).not.toHaveProperty("topicPrompts");
  });

  it("checks the whole, not the request", async () => {
    const dev = routing.caller();
    const id = await routing.feed(dev, { enableTopicRouting: true, topicField: "s" });
    const put = (body: unknown) => routing.call("PUT", `${FEEDS}/${id}`, { as: dev, body });
    expect(message(await put({ topicField: null }))).toEqual([400, "topicField is required when enableTopicRouting is true"]);
    expect(message(await put({ connectionType: "http-polling" }))).toEqual([400, "url is invalid"]);
    expect(message(await put({ connectionType: "protobuf" }))).toEqual([400, "protobufSchema and protobufType are required for protobuf"]);
    expect(message(await put({ name: "" }))).toEqual([400, "name is required"]);
    expect(message(await put({ url: "" }))).toEqual([400, "url is invalid"]);
    expect(message(await put({ queryInterval: 11 }))).toEqual([400, "queryInterval must be one of 5, 10, 30, 60"]);
    expect(message(await put("[]"))).toEqual([400, "invalid payload"]);
    expect((await put({ enableTopicRouting: false, topicField: null })).status).toBe(200);
  });

  it("is the owner's alone", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const open = await routing.feed(dev, { isPublic: true });
    for (const [method, path, body] of [
      ["PUT", `${FEEDS}/${open}`, { name: "mine now" }],
      ["DELETE", `${FEEDS}/${open}`, undefined],
      ["PUT", `${FEEDS}/${open}/ai-prompt`, { defaultAIPrompt: "x" }],
    ] as const) {
      expect(message(await routing.call(method, path, { as: other, body }))).toEqual([403, "not authorized"]);
      expect(message(await routing.call(method, path.replace(open, NOBODY), { as: other, body }))).toEqual([404, "Feed not found"]);
      expect(message(await routing.call(method, path, { body }))).toEqual([401, "missing token"]);
    }
    for (const method of ["PUT", "DELETE"]) {
      const malformed = await routing.call(method, `${FEEDS}/nonsense`, { as: other, ...(method === "PUT" ? { body: {} } : {}) });
      expect(message(malformed)).toEqual([400, "invalid id"]);
    }
    expect(data(await routing.call("GET", `${FEEDS}/${open}`))).toMatchObject({ name: "Feed" });
  });

  it("sets and clears the prompt", async () => {
    const dev = routing.caller();
    const id = await routing.feed(dev);
    const put = (body: unknown) => routing.call("PUT", `${FEEDS}/${id}/ai-prompt`, { as: dev, body });
    expect(data(await put({ defaultAIPrompt: "You are a financial analyst." }))).toMatchObject({
      _id: id,
      defaultAIPrompt: "You are a financial analyst.",
    });
    await until("everybody knows", () => routing.record(id)?.defaultAIPrompt === "You are a financial analyst.");
    for (const body of [{}, { defaultAIPrompt: 5 }, { defaultAIPrompt: null }, { defaultAIPrompt: "x".repeat(8_001) }]) {
      expect(message(await put(body))).toEqual([400, "invalid payload"]);
    }
    expect(data(await put({ defaultAIPrompt: "" }))).not.toHaveProperty("defaultAIPrompt");
  });

  it("keeps every one of many changes at once", async () => {
    const dev = routing.caller();
    const id = await routing.feed(dev);
    const fields = ["icon", "website", "documentation", "systemPrompt", "description", "category"] as const;
    await Promise.all(fields.map((field, i) => routing.call("PUT", `${FEEDS}/${id}`, { as: dev, at: i % 2, body: { [field]: field } })));
    expect(data(await routing.call("GET", `${FEEDS}/${id}`, { as: dev }))).toMatchObject(
      Object.fromEntries(fields.map((field) => [field, field])),
    );
    await Promise.all(routing.services.map((service) => service.settled()));
    await until("the newest record is the row", () => routing.record(id)?.systemPrompt === "systemPrompt");
  });
});

describe("delete", () => {
  it("takes subscriptions along, and everybody knows", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const id = await routing.feed(dev, { isPublic: true });
    await routing.call("POST", `/api/marketplace/subscribe/${id}`, { as: other });
    const gone = await routing.call("DELETE", `${FEEDS}/${id}`, { as: dev });
    expect(gone.body).toEqual({ success: true, message: "Feed deleted" });
    expect(message(await routing.call("GET", `${FEEDS}/${id}`, { as: dev }))).toEqual([404, "Feed not found"]);
    expect(message(await routing.call("DELETE", `${FEEDS}/${id}`, { as: dev }))).toEqual([404, "Feed not found"]);
    expect((await routing.call("GET", "/api/marketplace/subscriptions", { as: other })).body).toEqual({
      success: true,
      data: [],
      count: 0,
    });
    expect(await routing.sql("SELECT 1 FROM routing.subscriptions WHERE feed_id = $1", [id])).toEqual([]);
    await until("the record is gone", () => routing.record(id) === undefined);
  });
});

describe("restart", () => {
  it("tells a registry that differs what is true", async () => {
    const dev = routing.caller();
    const [kept, lost] = [await routing.feed(dev), await routing.feed(dev)];
    // As if the registry had lost one change and one deletion.
    await routing.sql("UPDATE routing.feeds SET name = 'Renamed' WHERE id = $1", [kept]);
    await routing.sql("DELETE FROM routing.feeds WHERE id = $1", [lost]);
    await routing.restart(1);
    await until("both are told", () => routing.record(kept)?.name === "Renamed" && routing.record(lost) === undefined);
    const told = routing.told(kept);
    await routing.restart(1);
    await routing.services[1]?.settled();
    expect(routing.told(kept)).toBe(told);
  }, 60_000);
});
