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
