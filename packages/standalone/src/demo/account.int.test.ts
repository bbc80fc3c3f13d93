import { createServer } from "node:http";
import fs from "node:fs";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { demoAccount, type DemoFeed } from "./account.ts";
import { type NoteBook, openNotes } from "./notes.ts";

const FEED: DemoFeed = {
  recording: "coinbase",
  name: "Coinbase (recorded)",
  description: "d",
  url: "ws://127.0.0.1:1/coinbase",
  topicField: "product_id",
  connectionMessages: ["{}"],
};

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

let asked: string[];
let url: string;
let notes: NoteBook;
let file: string;
/** The REST API as far as the demo needs it. */
let api: { users: Map<string, string>; feeds: Map<string, { _id: string; url: string }>; busy: number; refuse?: string };

beforeEach(async () => {
  asked = [];
  api = { users: new Map(), feeds: new Map(), busy: 0 };
  const server = createServer((req, res) => {
    let text = "";
    req.on("data", (chunk) => (text += String(chunk)));
    req.on("end", () => {
      const what = `${req.method} ${req.url}`;
      asked.push(what);
      const [status, answer] = api.busy-- > 0 ? [503, {}] : reply(what, text === "" ? {} : (JSON.parse(text) as Record<string, string>));
      res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  closers.push(() => server.closeAllConnections());
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "headwater-demo-"));
  closers.push(() => fs.rmSync(dir, { recursive: true }));
  file = path.join(dir, "demo.json");
  notes = openNotes(dir);
});

function reply(what: string, body: Record<string, string>): [number, unknown] {
  const { email = "", password = "" } = body;
  if (what === api.refuse) return [400, { success: false, message: "no" }];
  if (what === "POST /api/auth/register") {
    if (api.users.has(email)) return [400, { success: false, message: "user already exists" }];
    api.users.set(email, password);
    return [201, { token: "t" }];
  }
  if (what === "POST /api/auth/login") return api.users.get(email) === password ? [200, { token: "t" }] : [401, {}];
  if (what === "POST /api/auth/api-keys") return [201, { key: "ts_live_1" }];
  const id = what.split("/").at(-1) ?? "";
  if (what === "POST /api/marketplace/feeds") {
    const feed = { _id: `f${api.feeds.size + 1}`, url: body["url"] ?? "" };
    api.feeds.set(feed._id, feed);
    return [201, { data: feed }];
  }
  const feed = api.feeds.get(id);
  if (!feed) return [404, {}];
  if (what.startsWith("PUT")) feed.url = body["url"] ?? "";
  return [200, { data: feed }];
}

it("is made once: a second start logs in and changes nothing", async () => {
  const first = await demoAccount(url, notes, [FEED]);
  expect(first).toMatchObject({ email: "demo@headwater.example", socketKey: "ts_live_1", feeds: { coinbase: "f1" } });
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  asked.length = 0;
  expect(await demoAccount(url, notes, [FEED])).toEqual(first);
  expect(asked).toEqual(["POST /api/auth/login", "GET /api/marketplace/feeds/f1"]);
});

it("corrects the address of a feed and makes a deleted one again", async () => {
  await demoAccount(url, notes, [FEED]);
  const moved = { ...FEED, url: "ws://127.0.0.1:2/coinbase" };
  await demoAccount(url, notes, [moved]);
  expect([...api.feeds.values()]).toEqual([{ _id: "f1", url: moved.url }]);
  api.feeds.clear();
  api.feeds.set("other", { _id: "other", url: "x" });
  expect((await demoAccount(url, notes, [moved])).feeds).toEqual({ coinbase: "f2" });
});

it("takes another address when its own is somebody else's", async () => {
  api.users.set("demo@headwater.example", "unknown");
  const account = await demoAccount(url, notes, [FEED]);
  expect(account.email).toMatch(/^demo-[0-9a-f]{8}@headwater\.example$/);
});

it("goes on where a start was cut off, and waits for a busy service", async () => {
  api.refuse = "POST /api/marketplace/feeds";
  await expect(demoAccount(url, notes, [FEED])).rejects.toThrow("demo account: POST /api/marketplace/feeds: 400");
  delete api.refuse;
  api.busy = 2;
  asked.length = 0;
  expect((await demoAccount(url, notes, [FEED])).feeds).toEqual({ coinbase: "f1" });
  expect(asked).not.toContain("POST /api/auth/register");
  expect(asked).not.toContain("POST /api/auth/api-keys");
});
