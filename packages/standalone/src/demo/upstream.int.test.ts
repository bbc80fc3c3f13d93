import { createLogger } from "@headwater/runtime";
import { afterEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import { loadRecording, parseRecording, RECORDINGS } from "./recordings.ts";
import { startDemoUpstream } from "./upstream.ts";

const log = createLogger({ service: "demo", level: "silent" });
const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(port?: number) {
  const upstream = await startDemoUpstream({ small: [{ atMs: 0, text: "1" }, { atMs: 5, text: "2" }] }, log, port); // biome-ignore format: one line
  closers.push(() => upstream.stop());
  return upstream;
}

async function connect(url: string): Promise<{ socket: WebSocket; got: string[]; received: (count: number) => Promise<string[]> }> {
  const socket = new WebSocket(url);
  closers.push(() => socket.terminate());
  const got: string[] = [];
  let wake = (): void => undefined;
  socket.on("message", (data) => {
    got.push(data.toString());
    wake();
  });
  await new Promise((resolve) => socket.once("open", resolve));
  const received = async (count: number): Promise<string[]> => {
    while (got.length < count) await new Promise<void>((resolve) => (wake = resolve));
    return got.slice(0, count);
  };
  return { socket, got, received };
}

it("begins when it is asked to, and begins again at the end", async () => {
  const upstream = await start();
  const silent = await connect(upstream.urlOf("small"));
  const { socket, received } = await connect(upstream.urlOf("small"));
  socket.send('{"type":"subscribe"}');
  expect(await received(5)).toEqual(["1", "2", "1", "2", "1"]);
  expect(silent.got).toEqual([]);
});

it("closes on a path without a recording", async () => {
  const upstream = await start();
  const socket = new WebSocket(upstream.urlOf("none"));
  expect(await new Promise((resolve) => socket.once("close", resolve))).toBe(1008);
});

it("keeps its port between starts, and takes another one when it is taken", async () => {
  const first = await start();
  const port = Number(first.host.split(":")[1]);
  expect((await start(port)).host).not.toBe(first.host);
  await first.stop();
  expect((await start(port)).host).toBe(first.host);
});

it("puts the connections of a recording in order of receipt and leaves out what the client said", () => {
  const line = (dir: string, t: number, raw: string): string => JSON.stringify({ dir, t, raw });
  expect(parseRecording([line("out", 9, "sub"), line("in", 10.5, "b"), line("in", 10.25, "a")].join("\n"))).toEqual([
    { atMs: 0, text: "a" },
    { atMs: 250, text: "b" },
  ]);
});

it.each(RECORDINGS)("has the recording %s", (name) => {
  const messages = loadRecording(name);
  expect(messages.length).toBeGreaterThan(2_000);
  for (const { text } of messages) JSON.parse(text);
});
