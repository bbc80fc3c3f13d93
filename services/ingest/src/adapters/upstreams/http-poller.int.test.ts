/** Polling an HTTP upstream on loopback: intervals, repeats, paths into the answer, and all that can go wrong. */
import { type HttpPolling, MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { startUpstream, until, type UpstreamHttpAnswer, type UpstreamHttpRequest, type UpstreamServer } from "@headwater/testkit";
import { afterEach, describe, expect, it } from "vitest";
import type { Connection, ConnectionSpec, Connector } from "./connector.ts";
import { createHttpPoller } from "./http-poller.ts";
import { createOutboundGuard } from "./outbound-guard.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** Answers by turn; the last one stays. */
async function upstream(
  ...answers: (UpstreamHttpAnswer | ((request: UpstreamHttpRequest) => UpstreamHttpAnswer))[]
): Promise<UpstreamServer> {
  let turn = 0;
  const server = await startUpstream({
    http: (request) => {
      const answer = answers[Math.min(turn++, answers.length - 1)] ?? {};
      return typeof answer === "function" ? answer(request) : answer;
    },
  });
  stops.push(() => server.stop());
  return server;
}

function poller(url: string, http: Partial<HttpPolling> = {}, change: Partial<ConnectionSpec> = {}, allowPrivate = true): Connector {
  const httpConfig: HttpPolling = { method: "GET", pollingInterval: 1, timeout: 2_000, requestHeaders: {}, emitDuplicates: false, ...http };
  const secrets = { queryParams: [], headers: [], ...change.secrets, httpConfig };
  const spec: ConnectionSpec = {
    connectionType: "http-polling",
    url,
    eventName: "message",
    connectionMessages: [],
    connectionMessageDelayMs: 0,
    dataFormat: "json",
    pingIntervalMs: 30_000,
    readTimeoutMs: 60_000,
    ...change,
    secrets,
  };
  return createHttpPoller(spec, createOutboundGuard({ allowedHosts: [], allowPrivate }));
}

function open(connector: Connector): {
  opened: number;
  frames: string[];
  dropped: string[];
  ends: [string, boolean][];
  connection: Connection;
} {
  const seen = { opened: 0, frames: [] as string[], dropped: [] as string[], ends: [] as [string, boolean][] };
  const connection = connector.open({
    onOpen: () => void all.opened++,
    onFrame: (data) => void all.frames.push(String(data)),
    onDropped: (reason) => void all.dropped.push(reason),
    onNoise: () => undefined,
    onEnd: (error, isFault) => void all.ends.push([error, isFault === true]),
  });
  stops.push(() => connection.close());
  const all = Object.assign(seen, { connection });
  return all;
}

describe("polling", () => {
  it("asks at once, at most once a second, and drops answers that did not change", async () => {
    const server = await upstream({ body: '{"a":1}' }, { body: '{"a":1}' }, { body: '{"a":2}' });
    const begin = performance.now();
    const seen = open(poller(`${server.httpUrl}/p`));
    await until("the first", () => seen.frames.length === 1);
    expect(performance.now() - begin).toBeLessThan(900);
    await until("the second", () => seen.frames.length === 2);
    expect(performance.now() - begin).toBeGreaterThan(1_900);
    expect(seen).toMatchObject({ opened: 1, frames: ['{"a":1}', '{"a":2}'], dropped: ["duplicate"], ends: [] });
  });

  it("emits repeats when asked to, and then asks without the tag", async () => {
    const server = await upstream({ body: "x", headers: { etag: '"1"' } });
    const seen = open(poller(`${server.httpUrl}/p`, { emitDuplicates: true }));
    await until("two", () => seen.frames.length === 2);
    expect(server.requests().map(({ headers }) => headers["if-none-match"])).toEqual([undefined, undefined]);
  });

  it("remembers the tag, also over a failure", async () => {
    const server = await upstream({ body: "x", headers: { etag: '"1"' } }, { status: 500 }, ({ headers }) =>
      headers["if-none-match"] === '"1"' ? { status: 304 } : { body: "wrong" },
    );
    const connector = poller(`${server.httpUrl}/p`);
    const first = open(connector);
    await until("the failure", () => first.ends.length === 1);
    expect(first.ends).toEqual([["poll was answered with 500", false]]);
    const second = open(connector);
    await until("unchanged", () => second.dropped.length === 1);
    expect(second).toMatchObject({ opened: 1, frames: [], dropped: ["duplicate"] });
  });

  it("sends method, body, query and headers; those of the request win", async () => {
    const server = await upstream({ body: "1" });
    const headers = [
      { key: "X-A", value: "feed" },
      { key: "X-B", value: "feed" },
      { key: "Host", value: "evil" },
    ];
    const secrets = { headers, queryParams: [{ key: "q", value: "1 2" }] };
    open(poller(`${server.httpUrl}/p?z=0`, { method: "post", requestBody: "{}", requestHeaders: { "x-a": "request" } }, { secrets }));
    await until("a request", () => server.requests().length === 1);
    expect(server.requests()[0]).toMatchObject({
      method: "POST",
      path: "/p?z=0&q=1+2",
      body: "{}",
      headers: { "x-a": "request", "x-b": "feed", host: server.host, "content-type": "application/json" },
    });
  });

  it("takes the value at dataPath as it is written; without one there is no message", async () => {
    const server = await upstream({ body: '{"d":[{"id":12345678901234567890}, 2]}' }, { body: '{"d":3}' }, { body: "no json" });
    const seen = open(poller(`${server.httpUrl}/p`, { dataPath: "d[-2]" }));
    await until("three polls", () => seen.dropped.length === 2);
    expect(seen).toMatchObject({ frames: ['{"id":12345678901234567890}'], dropped: ["path", "path"], ends: [] });
  });

  it.each([
    ["a redirect, which is not followed", { status: 302, headers: { location: "/other" } }, "poll was answered with 302", false],
    ["an error", { status: 503 }, "poll was answered with 503", false],
    [
      "too much",
      { body: "x".repeat(MAX_UPSTREAM_MESSAGE_BYTES + 1) },
      `an answer is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`,
      true,
    ],
    ["silence", { delayMs: 60_000 }, "the poll was not answered in time", false],
  ] as const)("ends with %s", async (what, answer, error, isFault) => {
    const server = await upstream(answer);
    // Only silence is about time; megabytes may take theirs.
    const seen = open(poller(`${server.httpUrl}/p`, { timeout: what === "silence" ? 300 : 60_000 }));
    await until("the end", () => seen.ends.length === 1);
    expect(seen.ends).toEqual([[error, isFault]]);
    expect(server.requests()).toHaveLength(1);
  });

  it("says nothing after close, also in the middle of a poll (W29)", async () => {
    const server = await upstream({ body: "1", delayMs: 150 });
    const seen = open(poller(`${server.httpUrl}/p`));
    await until("the request", () => server.requests().length === 1);
    void seen.connection.close();
    const other = open(poller(`${server.httpUrl}/q`));
    await until("another poll is answered", () => other.frames.length === 1);
    expect(seen).toMatchObject({ opened: 0, frames: [], ends: [] });
  });

  it("is not sent to private addresses (W8)", async () => {
    const server = await upstream({ body: "secret" });
    const seen = open(poller(`http://127.0.0.1:${server.port}/p`, {}, {}, false));
    await until("the end", () => seen.ends.length === 1);
    expect(seen.ends).toEqual([["url is not allowed", false]]);
    expect(server.requests()).toEqual([]);
  });
});
