import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { describe, expect, it } from "vitest";
import { openAnswerStream, sseEvent, wantsPlainText } from "./event-stream.ts";

describe("sseEvent", () => {
  it.each([
    [" leading", "event: token\ndata:  leading\n\n"],
    ["", "event: token\ndata: \n\n"],
    ["a\nb\r\nc\rd", "event: token\ndata: a\ndata: b\ndata: c\ndata: d\n\n"],
    ["\n", "event: token\ndata: \ndata: \n\n"],
    ["data: x\n\nevent: done", "event: token\ndata: data: x\ndata: \ndata: event: done\n\n"],
  ])("frames %j", (text, framed) => {
    expect(sseEvent("token", text)).toBe(framed);
  });
});

describe("wantsPlainText", () => {
  it.each([
    ["text/plain", true],
    ["text/plain; charset=utf-8", true],
    ["application/json, TEXT/PLAIN", true],
    [undefined, false],
    ["*/*", false],
    // What HTTP libraries send by default.
    ["application/json, text/plain, */*", false],
    ["text/event-stream, text/plain", false],
    ["text/*, text/plain", false],
  ])("of %s: %s", (accept, wants) => {
    expect(wantsPlainText(accept)).toBe(wants);
  });
});

it("says that it is alive while nothing is said, but not to readers of bare text", async () => {
  const app = express();
  const said = Promise.withResolvers<void>();
  app.get("/", (req, res) => {
    const stream = openAnswerStream(req, res, 5);
    void said.promise.then(() => {
      if (!stream.hasBegun()) stream.token("first");
      return stream.done({ a: 1 });
    });
  });
  const server = createServer(app).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const events = await fetch(url);
  const plain = fetch(url, { headers: { Accept: "text/plain" } });
  const reader = events.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes(": keep-alive\n\n: keep-alive\n\n")) text += decoder.decode((await reader?.read())?.value);
  said.resolve();
  for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) text += decoder.decode(next.value);
  expect(text).toMatch(/^(: keep-alive\n\n)+event: done\ndata: \{"a":1\}\n\n$/);
  expect(await (await plain).text()).toBe("first");
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
