import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { createLogger, REDACTED_FIELDS, redactUrl } from "./logger.ts";

const KEY = "cs_live_0123456789abcdef0123456789abcdef";

function record(level = "info"): { log: ReturnType<typeof createLogger>; text: () => string } {
  let text = "";
  const destination = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return { log: createLogger({ service: "test", level, destination }), text: () => text };
}

describe("createLogger", () => {
  it.each(REDACTED_FIELDS)("never writes the value of %s, at the top or below", (field) => {
    const { log, text } = record();
    log.info({ [field]: KEY }, "top");
    log.info({ req: { [field]: KEY } }, "one below");
    log.info({ req: { headers: { [field]: KEY } } }, "two below");
    log.child({ [field]: KEY }).info("child");
    log.error({ err: Object.assign(new Error("x"), { [field]: KEY }) }, "error");
    expect(text()).not.toContain(KEY);
    expect(text()).toContain("[redacted]");
  });
  it("writes one JSON object per line: message, service, ISO time", () => {
    const { log, text } = record();
    log.info({ durationMs: 3 }, "service.ready");
    const line: Record<string, unknown> = JSON.parse(text());
    expect(line).toMatchObject({ service: "test", msg: "service.ready", durationMs: 3 });
    expect(new Date(String(line["time"])).toISOString()).toBe(line["time"]);
  });
  it("writes what failed in a database, without the values", () => {
    const { log, text } = record();
    const row = Object.assign(new Error('duplicate key value violates unique constraint "users_email"'), {
      code: "23505",
      detail: "Key (email)=(dev@example.com) already exists.",
    });
    // As the query builder throws it.
    const params = ["dev@example.com", "$argon2id$hash"];
    const query = 'insert into "users" values ($1, $2)';
    const failed = Object.assign(new Error(`Failed query: ${query}\nparams: ${params.join(",")}`, { cause: row }), { query, params });
    log.error({ err: row }, "plain");
    log.error({ err: failed }, "wrapped");
    log.error({ err: new Error("cannot register", { cause: failed }) }, "twice");
    log.error({ err: Object.assign(new Error(`Failed query\nparams: ${params.join(",")}`), { query, params }) }, "without a cause");
    expect(text()).not.toContain("dev@example.com");
    expect(text()).not.toContain("argon2id");
    const lines = text().trim().split("\n").map((line) => (JSON.parse(line) as { err: Record<string, unknown> }).err); // biome-ignore format: chain
    expect(lines[1]).toMatchObject({ code: "23505", message: row.message, query, stack: expect.stringContaining("at ") });
    expect(lines[2]).toMatchObject({ code: "23505", query, above: ["Error: cannot register"] });
    expect(lines[3]).toMatchObject({ query });
  });
  it("writes other errors as they are, with their causes", () => {
    const { log, text } = record();
    log.error({ err: new Error("outer", { cause: Object.assign(new Error("inner"), { code: "ECONNREFUSED" }) }) }, "x");
    log.error({ err: "no error" }, "x");
    expect(text()).toContain("outer: inner");
    expect(text()).toContain('"err":"no error"');
  });
  it("keeps quiet below its level", () => {
    const { log, text } = record("warn");
    log.info("quiet");
    expect(text()).toBe("");
  });
});

describe("redactUrl", () => {
  it.each([
    [`/v1/signals/stream?key=${KEY}`, "/v1/signals/stream?key=[redacted]"],
    [`/x?a=1&api_key=${KEY}&b=2`, "/x?a=1&api_key=[redacted]&b=2"],
    [`/x?TOKEN=${KEY}#f`, "/x?TOKEN=[redacted]#f"],
    ["/x?cursor=c1_abc", "/x?cursor=[redacted]"],
    ["postgres://user:secret@db:5432/x", "postgres://user:[redacted]@db:5432/x"],
    ["nats://127.0.0.1:4222", "nats://127.0.0.1:4222"],
    ["/x?monkey=1", "/x?monkey=1"],
    ["", ""],
  ])("%s", (url, expected) => expect(redactUrl(url)).toBe(expected));
});
