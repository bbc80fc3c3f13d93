/** Against the real Socket.IO server (W37). */
import { once } from "node:events";
import { startUpstream, until, type UpstreamServer } from "@headwater/testkit";
import { Server } from "socket.io";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import type { ConnectionSpec } from "./connector.ts";
import { createOutboundGuard } from "./outbound-guard.ts";
import { createSocketIoConnector } from "./socketio-connector.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function socketIo(): Promise<{ upstream: UpstreamServer; io: Server }> {
  const upstream = await startUpstream();
  const io = new Server(upstream.server, { pingInterval: 50, pingTimeout: 1_000 });
  stops.push(() => upstream.stop());
  stops.push(() => io.disconnectSockets(true));
  return { upstream, io };
}

function open(url: string, change: Partial<ConnectionSpec> = {}) {
  const spec: ConnectionSpec = {
    connectionType: "socketio",
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
  const seen = { opened: 0, frames: [] as string[], dropped: [] as string[], noise: 0, ends: [] as string[] };
  const connection = createSocketIoConnector(spec, createOutboundGuard({ allowedHosts: [], allowPrivate: true })).open({
    onOpen: () => void seen.opened++,
    onFrame: (data) => void seen.frames.push(String(data)),
    onDropped: (reason) => void seen.dropped.push(reason),
    onNoise: () => void seen.noise++,
    onEnd: (error) => void seen.ends.push(error),
  });
  stops.push(() => connection.close());
  return { seen, connection };
}

describe("a Socket.IO upstream", () => {
  it("gives the arguments of the feed's event as they were written, and nothing of other events", async () => {
    const { upstream, io } = await socketIo();
    const heard: unknown[] = [];
    io.on("connection", (socket) => {
      heard.push([socket.handshake.query["token"], socket.handshake.headers["x-k"]]);
      socket.onAny((...args: unknown[]) => {
        heard.push(args);
        if (heard.length < 4) return;
        socket.emit("other", 1);
        socket.emit("trade", { a: 1.5, s: "]" });
        socket.emit("trade", "text");
        socket.emit("trade", [1], 2);
        socket.emit("trade");
        socket.emit("trade", Buffer.from([1, 2]));
        socket.emit("trade", "last");
      });
    });
    const secrets = { queryParams: [{ key: "token", value: "q" }], headers: [{ key: "x-k", value: "h" }], connectionMessage: "legacy" };
    const { seen } = open(`${upstream.httpUrl}/`, {
      eventName: "trade",
      secrets,
      connectionMessages: ['["join",{"room":1}]', '{"sub":true}'],
    });
    await until("the last one", () => seen.frames.includes("last"));
    expect(heard).toEqual([
      ["q", "h"],
      ["message", "legacy"],
      ["join", { room: 1 }],
      ["message", { sub: true }],
    ]);
    expect(seen).toMatchObject({
      opened: 1,
      frames: ['{"a":1.5,"s":"]"}', "text", "[[1],2]", "last"],
      dropped: ["empty", "undecodable"],
      ends: [],
    });
  });

  it("answers the server's pings, joins the namespace in the path, and tells when it is sent away", async () => {
    const { upstream, io } = await socketIo();
    io.of("/feed").on("connection", (socket) => void socket.emit("message", "hello"));
    const { seen } = open(`${upstream.url}/feed`);
    await until("hello", () => seen.frames.length === 1);
    // Without answers the server would have closed by then.
    await until("pings", () => seen.noise >= 25);
    expect(seen.ends).toEqual([]);
    io.of("/feed").disconnectSockets();
    await until("the end", () => seen.ends.length === 1);
    expect(seen.ends).toEqual(["closed by the upstream"]);
    const refused = open(`${upstream.url}/nothing`);
    await until("the refusal", () => refused.seen.ends.length === 1);
    expect(refused.seen).toMatchObject({ opened: 0, ends: ["the upstream refused the connection"] });
  });

  it("survives packets that are none, and keeps long numbers", async () => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    stops.push(() => server.close());
    const packets = [
      "",
      "9",
      "4",
      "42",
      "42[",
      "42{}",
      "42[1]",
      "4x",
      "6",
      "43[]",
      '42["other"]',
      '4212["message",12345678901234567890]',
      '42 [ "message" , {"a": 1.50} ] ',
      '42["message",1.50,"\\"]"]',
      '42["message","last"]',
    ];
    server.on("connection", (ws, req) => {
      expect(req.url).toBe("/socket.io/?a=1&EIO=4&transport=websocket");
      ws.send('0{"sid":"x","pingInterval":1000,"pingTimeout":1000}');
      ws.on("message", (data) => {
        if (String(data) !== "40") return;
        ws.send('40{"sid":"y"}');
        for (const packet of packets) ws.send(packet);
        ws.send(Buffer.from([1]));
      });
    });
    await once(server, "listening");
    const address = server.address();
    const { seen } = open(`ws://127.0.0.1:${typeof address === "object" ? address?.port : 0}/?a=1`);
    await until("the last one", () => seen.frames.includes("last"));
    expect(seen).toMatchObject({ opened: 1, frames: ["12345678901234567890", ' {"a": 1.50} ', '[1.50,"\\"]"]', "last"], ends: [] });
    expect(seen.dropped).toEqual(["undecodable", "undecodable", "undecodable", "undecodable"]);
  });
});
