/** The badness matrix: what one WebSocket upstream can do to us, on loopback. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { startUpstream, until, type UpstreamServer } from "@headwater/testkit";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Connection, ConnectionSpec } from "./connector.ts";
import { createOutboundGuard } from "./outbound-guard.ts";
import { createWebSocketConnector } from "./websocket-connector.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function upstream(...args: Parameters<typeof startUpstream>): Promise<UpstreamServer> {
  const server = await startUpstream(...args);
  stops.push(() => server.stop());
  return server;
}

interface Seen {
  connection: Connection;
  opened: number;
  frames: (Buffer | string)[];
  binary: boolean[];
  dropped: string[];
  noise: number;
  ends: { error: string; isFault: boolean }[];
}

function open(url: string, change: Partial<ConnectionSpec> = {}, allowPrivate = true): Seen {
  const spec: ConnectionSpec = {
    connectionType: "websocket",
    url,
    eventName: "message",
    connectionMessages: [],
    connectionMessageDelayMs: 0,
    dataFormat: "json",
    pingIntervalMs: 30_000,
    readTimeoutMs: 60_000,
    secrets: { queryParams: [], headers: [] },
    ...change,
  };
  const seen: Omit<Seen, "connection"> = { opened: 0, frames: [], binary: [], dropped: [], noise: 0, ends: [] };
  const connector = createWebSocketConnector(spec, createOutboundGuard({ allowedHosts: [], allowPrivate }));
  const connection = connector.open({
    onOpen: () => void all.opened++,
    onFrame: (data, isBinary) => {
      all.frames.push(data);
      all.binary.push(isBinary);
    },
    onDropped: (reason) => void all.dropped.push(reason),
    onNoise: () => void all.noise++,
    onEnd: (error, isFault) => void all.ends.push({ error, isFault: isFault === true }),
  });
  stops.push(() => connection.close());
  const all: Seen = Object.assign(seen, { connection });
  return all;
}

describe("a WebSocket upstream", () => {
  it("gets its opening messages one after the other with the pause between", async () => {
    const server = await upstream();
    const begin = performance.now();
    open(`${server.url}/a`, { connectionMessages: ["1", "2", "3"], connectionMessageDelayMs: 60 });
    await until("three messages", () => server.open("/a")[0]?.messages.length === 3);
    expect(server.open("/a")[0]?.messages).toEqual(["1", "2", "3"]);
    expect(performance.now() - begin).toBeGreaterThanOrEqual(115);
  });

  it("asks for its subprotocol and cannot have the handshake's own headers changed", async () => {
    const server = await upstream();
    const headers = [
      { key: "Host", value: "evil" },
      { key: "Sec-WebSocket-Key", value: "x" },
      { key: "Connection", value: "close" },
      { key: "Authorization", value: "Bearer 1" },
    ];
    const seen = open(`${server.url}/a`, { secrets: { queryParams: [], headers } });
    await until("open", () => seen.opened === 1);
    expect(server.open("/a")[0]?.headers).toMatchObject({ host: server.host, authorization: "Bearer 1" });
  });

  it.each(["constructor", "toString", "__proto__"])("sends a header that is called %s like any other", async (key) => {
    const server = await upstream();
    const seen = open(`${server.url}/a`, { secrets: { queryParams: [{ key, value: "q" }], headers: [{ key, value: "v" }] } });
    await until("open", () => seen.opened === 1);
    // Node itself leaves `__proto__` out of the headers it shows.
    if (key !== "__proto__") expect(Object.entries(server.open("/a")[0]?.headers ?? {})).toContainEqual([key.toLowerCase(), "v"]);
  });

  it("ends, and nothing else does, when a setting cannot be used at all", async () => {
    const server = await upstream();
    const headers = [{ key: "X", value: "v" }];
    // What no schema lets through: the connection is made of it all the same.
    Object.defineProperty(headers[0], "value", {
      get: () => {
        throw new TypeError("not readable");
      },
    });
    const seen = open(`${server.url}/a`, { secrets: { queryParams: [], headers } });
    await until("the end", () => seen.ends.length > 0);
    expect(seen).toMatchObject({ opened: 0, ends: [{ error: "connection failed", isFault: true }] });
  });

  it.each([
    ["answered with 403", { refuse: 403 }, "handshake was answered with 403"],
    ["answered with a redirect, which is not followed", { redirectTo: "ws://127.0.0.1:1/" }, "handshake was answered with 302"],
    ["cut", { refuse: "cut" }, "connection failed (ECONNRESET)"],
  ] as const)("ends when its handshake is %s", async (_what, behaviour, error) => {
    const server = await upstream({ behaviour });
    const seen = open(`${server.url}/a`);
    await until("the end", () => seen.ends.length > 0);
    expect(seen).toMatchObject({ opened: 0, ends: [{ error, isFault: false }] });
  });

  it("ends when nobody is there, without telling addresses", async () => {
    const server = await startUpstream();
    await server.stop();
    const seen = open(`${server.url}/a`);
    await until("the end", () => seen.ends.length > 0);
    expect(seen.ends).toEqual([{ error: "connection failed (ECONNREFUSED)", isFault: false }]);
  });

  it("is given 10 s for the handshake, however busy it looks", async () => {
    // Accepts and sends a header byte by byte.
    const slow = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.write("HTTP/1.1 101 Switching Protocols\r\nX-Slow: ");
    });
    await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
    stops.push(() => slow.close());
    const address = slow.address();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    stops.push(() => vi.useRealTimers());
    const connected = once(slow, "connection") as Promise<[Socket]>;
    const seen = open(`ws://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`);
    const [socket] = await connected;
    for (let second = 0; second < 9; second++) {
      await new Promise((resolve) => socket.write("X", resolve));
      vi.advanceTimersByTime(1_000);
    }
    vi.advanceTimersByTime(999);
    expect(seen.ends).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(seen.ends).toEqual([{ error: "handshake timed out", isFault: false }]);
  });

  it.each([
    ["a frame of 100 MB", { hugeBytes: 100 * 1024 * 1024 }, `a message is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`, ["size"]],
    ["fragments without end", { endlessFragments: 60_000 }, `a message is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`, ["size"]],
    ["empty fragments without end", { endlessFragments: 0 }, "a message has too many fragments", ["size"]],
    ["text that is not UTF-8", { invalidUtf8: true }, "a text message is not UTF-8", []],
    [
      "a bomb of deflated zeros",
      { deflate: true, frames: ["0".repeat(64 * 1024 * 1024)] },
      `a message is larger than ${MAX_UPSTREAM_MESSAGE_BYTES} bytes`,
      ["size"],
    ],
  ] as const)("is left for %s, as a fault", async (_what, behaviour, error, dropped) => {
    const server = await upstream({ behaviour });
    const before = process.memoryUsage().rss;
    const seen = open(`${server.url}/a`);
    await until("the end", () => seen.ends.length > 0, 20_000);
    expect(seen).toMatchObject({ opened: 1, frames: [], dropped, ends: [{ error, isFault: true }] });
    // The sender is in this process too, and a bomb is packed from 64 MiB.
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
  });

  it("may send the largest message, deflated or not, and binary ones", async () => {
    const largest = "9".repeat(MAX_UPSTREAM_MESSAGE_BYTES);
    const server = await upstream();
    server.behave("/plain", { frames: [largest, Buffer.from([1, 2])] });
    server.behave("/deflated", { deflate: true, frames: [largest] });
    const plain = open(`${server.url}/plain`);
    const deflated = open(`${server.url}/deflated`);
    await until("all", () => plain.frames.length === 2 && deflated.frames.length === 1);
    expect([plain.frames[0]?.length, plain.binary, deflated.frames[0]?.length]).toEqual([largest.length, [false, true], largest.length]);
  });

  it("is pinged, and left when it is silent for the read timeout (W18)", async () => {
    const server = await upstream();
    server.behave("/silent", { silent: true });
    // Many pings within the timeout: a machine that holds us up for most of it leaves time for some.
    const silent = open(`${server.url}/silent`, { pingIntervalMs: 10, readTimeoutMs: 800 });
    const quiet = open(`${server.url}/quiet`, { pingIntervalMs: 10, readTimeoutMs: 800 });
    const pings = (path: string): number => server.connections(path)[0]?.pings ?? 0;
    await until("the silent one ends", () => silent.ends.length > 0);
    expect(silent.ends).toEqual([{ error: "nothing received in time", isFault: false }]);
    const before = pings("/quiet");
    await until("pings of both", () => pings("/silent") > 1 && pings("/quiet") > before + 8);
    // It answers pings and is therefore alive.
    expect(quiet.ends).toEqual([]);
  });

  it("is not left for what this process did not read in time", async () => {
    const server = await upstream();
    const seen = open(`${server.url}/a`, { readTimeoutMs: 50 });
    await until("open", () => seen.opened === 1);
    // Held up for longer than the read timeout, with the message waiting; after an immediate the timers come first.
    await new Promise((resolve) => setImmediate(resolve));
    server.send("1", "/a");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    await until("the end", () => seen.ends.length > 0);
    expect(seen).toMatchObject({ frames: [Buffer.from("1")], ends: [{ error: "nothing received in time", isFault: false }] });
  });

  it("tells how it closed", async () => {
    const server = await upstream({ behaviour: { frames: ["1"], closeWith: 4001 } });
    server.behave("/cut", { flapMs: 30 });
    const closed = open(`${server.url}/a`);
    const cut = open(`${server.url}/cut`);
    await until("both ends", () => closed.ends.length > 0 && cut.ends.length > 0);
    expect([closed.ends[0]?.error, cut.ends[0]?.error]).toEqual(["closed by the upstream (4001)", "connection lost"]);
  });

  it("says nothing after close, and is closed even while paused (W29)", async () => {
    const server = await upstream({ behaviour: { flood: { frame: "x" } } });
    const seen = open(`${server.url}/a`);
    await until("frames", () => seen.frames.length > 100);
    seen.connection.pause();
    void seen.connection.close();
    const count = seen.frames.length;
    await until("the upstream sees the end", () => server.open("/a").length === 0);
    expect(seen.frames.length).toBe(count);
    expect(seen.ends).toEqual([]);
    const early = open(`${server.url}/b`);
    await early.connection.close();
    await until("another one opens", () => open(`${server.url}/c`) !== undefined && server.open("/c").length > 0);
    expect(server.open("/b")).toEqual([]);
    expect(early).toMatchObject({ opened: 0, ends: [] });
  });

  it("is slowed down by a pause", async () => {
    const server = await upstream({ behaviour: { flood: { frame: "x".repeat(1_000) } } });
    const seen = open(`${server.url}/a`);
    await until("frames", () => seen.frames.length > 1_000);
    seen.connection.pause();
    // What is in our own buffers still comes; a second upstream shows that time passes.
    const other = open(`${server.url}/b`);
    await until("frames of the other", () => other.frames.length > 1_000);
    const paused = seen.frames.length;
    await until("more frames of the other", () => other.frames.length > 20_000);
    expect(seen.frames.length - paused).toBeLessThan(1_000);
    seen.connection.resume();
    await until("it goes on", () => seen.frames.length > paused + 1_000);
  });

  it("is not connected at a private address (W8)", async () => {
    const server = await upstream();
    const refused = ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "localhost"].map((host) =>
      open(`ws://${host}:${server.port}/a`, {}, false),
    );
    await until("all ends", () => refused.every(({ ends }) => ends.length > 0));
    expect(refused.map(({ ends }) => ends[0]?.error)).toEqual(refused.map(() => "url is not allowed"));
    expect(server.attempts()).toBe(0);
  });
});
