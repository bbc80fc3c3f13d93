/**
 * Secrets of an account on their whole way: set over REST, named by feeds, seen by real upstreams, replaced while connected; and by nobody else,
 * neither in what the owner is shown nor in a feed's status.
 */
import { randomBytes } from "node:crypto";
import { startUpstream, until, type UpstreamHttpRequest, type UpstreamServer } from "@headwater/testkit";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Account, type FeedsSystem, startFeedsSystem } from "./support/feeds-system.ts";

const SOCKET = "/socket";
const REFUSING = "/refusing";
const POLLED = "/polled";
/** Begins every value. */
const MARK = `v4lue${randomBytes(6).toString("hex")}`;

let upstream: UpstreamServer;
let feeds: FeedsSystem;
let owner: Account;
beforeAll(async () => {
  let n = 0;
  upstream = await startUpstream({ http: () => ({ body: `{"n":${++n}}` }) });
  upstream.behave(REFUSING, { refuse: 401 });
  feeds = await startFeedsSystem(upstream);
  owner = await feeds.register("ann");
});
afterAll(async () => {
  await feeds?.stop();
  await upstream?.stop();
});

const set = (name: string, value: string) => owner.ok("PUT", `/api/settings/user/secrets/${name}`, { value });
const polls = (): UpstreamHttpRequest[] => upstream.requests().filter(({ path }) => path.startsWith(POLLED));

it("the upstream sees the value, and at once the new one when it is replaced", async () => {
  await set("TOKEN", `${MARK}-1`);
  await set("KEY", `${MARK} key&=?`);
  const headers = [{ key: "X-Token", value: "Bearer ${secret:TOKEN}" }];
  const queryParams = [{ key: "key", value: "${secret:KEY}" }];
  const socketFeed = await owner.createFeed({ name: "socket", url: upstream.url + SOCKET, headers, queryParams });
  const polledFeed = await owner.createFeed({
    name: "polled",
    url: upstream.httpUrl + POLLED,
    connectionType: "http-polling",
    queryParams,
    httpConfig: { pollingInterval: 60_000, requestHeaders: { "X-Token": "${secret:TOKEN}/${secret:TOKEN}" } },
  });
  const seen = (): unknown => upstream.open(SOCKET)[0]?.headers["x-token"];
  await until("the socket is connected", () => seen() === `Bearer ${MARK}-1`);
  await until("the address is polled", () => polls().length > 0);
  expect(polls()[0]?.headers["x-token"]).toBe(`${MARK}-1/${MARK}-1`);
  expect(polls()[0]?.path).toBe(`${POLLED}?${new URLSearchParams({ key: `${MARK} key&=?` }).toString()}`);

  await set("TOKEN", `${MARK}-2`);
  await until("the socket is connected anew", () => seen() === `Bearer ${MARK}-2`);
  await until("the address is polled anew", () => polls().at(-1)?.headers["x-token"] === `${MARK}-2/${MARK}-2`);
  expect(upstream.connections(SOCKET)).toHaveLength(2);
  expect(upstream.mostAtOnce(SOCKET)).toBe(1);
  expect(polls()).toHaveLength(2);

  const mine = await owner.call("GET", "/api/marketplace/my-feeds");
  expect(mine.text).toContain("Bearer ${secret:TOKEN}");
  for (const path of ["/my-feeds", `/feeds/${socketFeed}`, `/feeds/${socketFeed}/status`, `/feeds/${polledFeed}/status`]) {
    expect((await owner.call("GET", `/api/marketplace${path}`)).text, path).not.toContain(MARK);
  }
});

it("a test of a feed uses it, and a refused connection does not tell it", async () => {
  const url = upstream.url + REFUSING;
  const headers = [{ key: "X-Token", value: "${secret:TOKEN}" }];
  // What no header may contain is named by the reason, not by the value.
  await set("ODD", `${MARK}\u{1f511}`);
  for (const feed of [{ headers }, { headers: [{ key: "X-Odd", value: "${secret:ODD}" }] }]) {
    const tested = await owner.call("POST", "/api/marketplace/test-feed", { url, ...feed });
    expect(tested.body["success"]).toBe(false);
    expect(tested.text).not.toContain(MARK);
    const id = await owner.createFeed({ name: "refused", url, ...feed });
    const status = async (): Promise<string> => (await owner.call("GET", `/api/marketplace/feeds/${id}/status`)).text;
    await until("it has failed", async () => (await status()).includes('"error":"'));
    expect(await status()).not.toContain(MARK);
  }
  expect(upstream.attempts(REFUSING)).toBeGreaterThanOrEqual(2);
});
