/** The helper misbehaves as its options say; what the product does about it is tested in services/ingest. */
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { startUpstream, type UpstreamServer } from "./upstream-server.ts";
import { until } from "./until.ts";

const stops: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function upstream(...args: Parameters<typeof startUpstream>): Promise<UpstreamServer> {
  const server = await startUpstream(...args);
  stops.push(() => server.stop());
  return server;
}

function client(
  url: string,
  options: ConstructorParameters<typeof WebSocket>[2] = {},
): { ws: WebSocket; seen: string[]; errors: string[] } {
  const ws = new WebSocket(url, options);
  const seen: string[] = [];
  const errors: string[] = [];
  ws.on("message", (data, isBinary) => seen.push(isBinary ? `binary:${String(data)}` : String(data)));
  ws.on("error", (error) => errors.push(error.message));
  stops.push(() => ws.terminate());
  return { ws, seen, errors };
}

describe("startUpstream", () => {
  it("records connections and their messages, and plays frames after the subscription", async () => {
    const server = await upstream({ behaviour: { afterMessages: 2, frames: ["one", Buffer.from("two")] } });
    const { ws, seen } = client(`${server.url}/a?x=1`, { headers: { "x-token": "t" } });
    await until("open", () => ws.readyState === WebSocket.OPEN);
    expect(seen).toEqual([]);
    ws.send("sub 1");
    ws.send("sub 2");
    await until("frames", () => seen.length === 2);
    expect(seen).toEqual(["one", "binary:two"]);
    expect(server.open("/a")[0]?.messages).toEqual(["sub 1", "sub 2"]);
    expect(server.open("/a")[0]?.headers["x-token"]).toBe("t");
    expect(server.mostAtOnce("/a")).toBe(1);
    server.cut("/a");
    await until("closed", () => server.open("/a").length === 0 && ws.readyState === WebSocket.CLOSED);
    expect(server.connections("/a")).toHaveLength(1);
  });

  it("refuses, cuts, redirects and delays handshakes", async () => {
    const server = await upstream();
    server.behave("/403", { refuse: 403 });
    server.behave("/cut", { refuse: "cut" });
    server.behave("/away", { redirectTo: "http://127.0.0.1:1/" });
    server.behave("/slow", { handshakeDelayMs: 60_000 });
    const all = [
      client(`${server.url}/403`),
      client(`${server.url}/cut`),
      client(`${server.url}/away`),
      client(`${server.url}/slow`, { handshakeTimeout: 50 }),
    ];
    await until("four refusals", () => all.every(({ errors }) => errors.length > 0));
    expect(all[0]?.errors[0]).toContain("403");
    expect(all[2]?.errors[0]).toContain("302");
    expect(server.attempts()).toBe(4);
    expect(server.connections()).toEqual([]);
  });

  it("sends huge frames, fragments without end, bytes that are no text, and floods", async () => {
    const server = await upstream();
    server.behave("/huge", { hugeBytes: 100 * 1024 * 1024 });
    server.behave("/fragments", { endlessFragments: 100_000 });
    server.behave("/utf8", { invalidUtf8: true });
    server.behave("/flood", { flood: { frame: "x" } });
    const bad = ["/huge", "/fragments", "/utf8"].map((path) => client(server.url + path, { maxPayload: 1_000_000 }));
    const flood = client(`${server.url}/flood`);
    await until("three protocol errors", () => bad.every(({ errors }) => errors.length > 0));
    expect(bad.map(({ errors }) => errors[0])).toEqual([
      "Max payload size exceeded",
      "Max payload size exceeded",
      "Invalid WebSocket frame: invalid UTF-8 sequence",
    ]);
    await until("a flood", () => flood.seen.length > 5_000);
  });

  it("answers HTTP by a function and records requests", async () => {
    const server = await upstream({ http: ({ body }) => ({ body: JSON.stringify({ echo: body }), headers: { etag: '"1"' } }) });
    const answer = await fetch(`${server.httpUrl}/p?q=1`, { method: "POST", body: "hi" });
    expect(await answer.json()).toEqual({ echo: "hi" });
    expect(server.requests("/p")).toMatchObject([{ method: "POST", path: "/p?q=1", body: "hi" }]);
  });
});
