/** Categories, filters, tools and the examples directory. */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { type Answer, type RoutingFixture, startRoutingFixture } from "./testing/routing-fixture.ts";

let routing: RoutingFixture;
beforeAll(async () => {
  routing = await startRoutingFixture({ databaseUrl: inject("databaseUrl") });
}, 60_000);
afterAll(() => routing?.stop(), 60_000);

const message = (answer: Answer): unknown[] => [answer.status, answer.body["message"]];
const SETTINGS = "/api/settings";
const OWN = `${SETTINGS}/user/categories`;

describe("categories", () => {
  it.each([`${SETTINGS}/categories`, `${SETTINGS}/all`])("%s has those of everybody", async (path) => {
    const { body } = await routing.call("GET", path);
    const categories = body["categories"] as { key: string }[];
    expect(categories[0]).toEqual({ key: "crypto", label: "Crypto", scope: "global" });
    expect(categories.map(({ key }) => key)).toEqual([
      "crypto", "stocks", "forex", "commodities", "custom", "finance", "technology", "weather", "network", "iot",
    ]); // biome-ignore format: one list
  });

  it("has one by its key", async () => {
    expect((await routing.call("GET", `${SETTINGS}/categories/iot`)).body).toEqual({
      success: true,
      data: { key: "iot", label: "IoT", scope: "global" },
    });
    for (const key of ["nothing", "%00", "constructor"]) {
      expect(message(await routing.call("GET", `${SETTINGS}/categories/${key}`))).toEqual([404, "not found"]);
    }
  });

  it("keeps those of an account for that account", async () => {
    const [dev, other] = [routing.caller(), routing.caller()];
    const made = await routing.call("POST", OWN, {
      as: dev,
      body: { key: "sports", label: "Sports", scope: "global", userId: other.userId },
    });
    const sports = { key: "sports", label: "Sports", scope: "user" };
    expect([made.status, made.body]).toEqual([201, { success: true, data: sports }]);
    expect((await routing.call("GET", OWN, { as: dev })).body).toEqual({ success: true, categories: [sports] });
    expect((await routing.call("GET", OWN, { as: other })).body).toEqual({ success: true, categories: [] });
    expect((await routing.call("GET", `${OWN}/sports`, { as: dev })).body).toEqual({ success: true, data: sports });
    expect(message(await routing.call("GET", `${OWN}/sports`, { as: other }))).toEqual([404, "not found"]);
    expect(message(await routing.call("GET", `${SETTINGS}/categories/sports`, { as: other }))).toEqual([404, "not found"]);
    expect((await routing.call("GET", `${SETTINGS}/categories`, { as: dev })).body["categories"]).toContainEqual(sports);
    const check = async (key: string) => (await routing.call("GET", `${OWN}/check/${key}`, { as: dev })).body["available"];
    expect([await check("sports"), await check("crypto"), await check("new"), await check("Not A Key")]).toEqual([
      false,
      false,
      true,
      false,
    ]);
    for (const key of ["sports", "crypto"]) {
      expect(message(await routing.call("POST", OWN, { as: dev, body: { key, label: "x" } }))).toEqual([409, "category already exists"]);
    }
    expect(message(await routing.call("PUT", `${OWN}/sports`, { as: other, body: { label: "Mine" } }))).toEqual([404, "not found"]);
    expect(message(await routing.call("DELETE", `${OWN}/sports`, { as: other }))).toEqual([404, "not found"]);
    expect((await routing.call("PUT", `${OWN}/sports`, { as: dev, body: { label: "Sport" } })).body["data"]).toEqual({
      ...sports,
      label: "Sport",
    });
    expect((await routing.call("DELETE", `${OWN}/sports`, { as: dev })).body).toEqual({ success: true });
    expect(message(await routing.call("DELETE", `${OWN}/sports`, { as: dev }))).toEqual([404, "not found"]);
    expect(message(await routing.call("PUT", `${OWN}/%00`, { as: dev, body: { label: "x" } }))).toEqual([404, "not found"]);
  });

  it("refuses what is none, and more than a hundred", async () => {
    const dev = routing.caller();
    for (const body of [
      {},
      "{",
      { key: "a" },
      { key: "A b", label: "x" },
      { key: "a", label: "" },
      { key: "a", label: "\u0000" },
      { key: 5, label: "x" },
    ]) {
      expect(message(await routing.call("POST", OWN, { as: dev, body }))).toEqual([400, "invalid payload"]);
    }
    await routing.sql("INSERT INTO routing.user_categories SELECT $1, 'k' || n, 'l', now() FROM generate_series(1, 100) AS n", [
      dev.userId,
    ]);
    expect(message(await routing.call("POST", OWN, { as: dev, body: { key: "more", label: "x" } }))).toEqual([
      403,
      "category limit reached",
    ]);
    for (const [method, path] of [
      ["GET", OWN],
      ["POST", OWN],
      ["GET", `${OWN}/a`],
      ["PUT", `${OWN}/a`],
      ["DELETE", `${OWN}/a`],
      ["GET", `${OWN}/check/a`],
    ] as const) {
      expect(message(await routing.call(method, path))).toEqual([401, "missing token"]);
    }
  });
});

it.each(["/api/filters", "/api/filter-presets"])("%s is empty", async (path) => {
  expect((await routing.call("GET", path)).text).toBe('{"success":true,"data":[]}');
});

it("has examples that can be posted as they are", async () => {
  const { body } = await routing.call("GET", "/api/marketplace/examples");
  const examples = body["data"] as Record<string, unknown>[];
  expect(body["count"]).toBe(4);
  expect(examples.map(({ name, topicField }) => [name, topicField])).toEqual([
    ["Coinbase ticker", "product_id"],
    ["Binance tickers", "s"],
    ["Kraken trades", "[-1]"],
    ["RIPE RIS Live BGP", "data.path[-1]"],
  ]);
  const as = routing.caller();
  for (const example of examples) {
    const made = await routing.call("POST", "/api/marketplace/feeds", { as, body: example });
    expect(made.status).toBe(201);
    expect(made.body["data"]).toMatchObject(example);
  }
});

describe("tools", () => {
  const post = (tool: string, body: unknown): Promise<Answer> => routing.call("POST", `/api/tools/${tool}`, { body });
  it("makes connection messages", async () => {
    const { body } = await post("connection-messages", { input: ' { "type": "subscribe",\n "id": 12345678901234567890 } ' });
    const text = '{"type":"subscribe","id":12345678901234567890}';
    expect(body).toEqual({ success: true, connectionMessages: [text], json: JSON.stringify([text]) });
    for (const bad of [{}, { input: "" }, { input: " \n " }])
      expect(message(await post("connection-messages", bad))).toEqual([400, "input is required"]);
    for (const bad of [{ input: 5 }, "{", "[]"]) expect(message(await post("connection-messages", bad))).toEqual([400, "invalid payload"]);
  });

  it("makes topic fields, from an object or its text", async () => {
    const sample = '{"data":{"path":[41722,12389,40138],"id":12345678901234567890}}';
    const ofObject = await post("topic-field", `{"sample":${sample},"find":"path"}`);
    expect(ofObject.body["candidates"]).toMatchObject([
      { topicField: "data.path[-1]", topic: "40138", reason: expect.any(String) },
      { topicField: "data.path[0]", topic: "41722" },
    ]);
    expect((await post("topic-field", { sample, find: "path" })).body).toEqual(ofObject.body);
    expect((await post("topic-field", `{"sample":${sample},"find":"id"}`)).body["candidates"]).toMatchObject([
      { topic: "12345678901234567890" },
    ]);
    expect((await post("topic-field", { sample: { a: 1 }, find: "none" })).body).toEqual({ success: true, candidates: [] });
    expect((await post("topic-field", { sample: null, find: "none" })).body).toEqual({ success: true, candidates: [] });
    for (const bad of [{}, { find: "a" }, { sample: 1 }, { sample: {}, find: {} }, { sample: {}, find: null }]) {
      expect(message(await post("topic-field", bad))).toEqual([400, "invalid payload"]);
    }
  });
});

it("answers what it does not know in its own words", async () => {
  for (const path of ["/api/marketplace/nothing", "/api/settings/nothing", "/api/tools/nothing"]) {
    expect(message(await routing.call("GET", path))).toEqual([404, "route not found"]);
  }
  const other = await routing.call("DELETE", "/api/filters");
  expect([...message(other), other.headers.get("allow")]).toEqual([405, "method not allowed", "GET"]);
});
