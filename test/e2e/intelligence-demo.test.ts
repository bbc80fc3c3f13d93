/**
 * What a newcomer without any account sees: `npm start`, a topic of a demo feed, an analysis that says that it is builtin, every ten seconds, and
 * what it says is true of the recorded data. With a key and an address of a provider the analyses are that provider's.
 */
import { type LlmServer, makeTempDir, startLlmServer } from "@headwater/testkit";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { busyFactor } from "../fault/support/bar.ts";
import { npmStart, type StartedSystem } from "../support/npm-start.ts";
import { openSocket, type Socket, type SocketFrame } from "./support/socket.ts";

const temp = makeTempDir("headwater-llm-demo");
/** A developer's own keys are not a newcomer's. */
const NO_KEYS = Object.fromEntries(
  ["OPENAI", "AZURE_OPENAI", "ANTHROPIC", "GOOGLE", "MISTRAL", "XAI"].map((name) => [`${name}_API_KEY`, undefined]),
);
let provider: LlmServer;
let system: StartedSystem | undefined;

beforeAll(async () => {
  provider = await startLlmServer();
});
afterEach(async () => {
  await system?.stop();
  system = undefined;
}, 60_000);
afterAll(async () => {
  await provider?.stop();
  temp.remove();
});

/** A visitor without a login at the first demo feed: public, as its owner lets anybody read it. */
async function visit(started: StartedSystem): Promise<{ socket: Socket; feedId: string; topic: string }> {
  const [, feedId = "", topic = ""] = /^ {2}feed\s+([0-9a-f]{24}) \w+ \(topics like (\S+)\)$/m.exec(started.output()) ?? [];
  const socket = await openSocket(started.url.replace("http", "ws"));
  await socket.ask({ type: "register-user", payload: { userId: "visitor" } });
  await socket.ask({ type: "subscribe-topic", payload: { feedId, topic, include: ["data"], since: 0 } });
  return { socket, feedId, topic };
}

const isAnalysis = ({ type }: SocketFrame): boolean => type === "llm-intelligence";

/** Names and values that an analysis says were in the data, of members that are not nested. */
function claimsOf(analysis: string): [name: string, value: string][] {
  const once = [...analysis.matchAll(/(?<= )(\w+) (?:stayed at|is) "?([^" ]+)"? in /g)];
  const moved = [...analysis.matchAll(/(?<= )(\w+) (?:rose|fell) from (\S+) to (\S+) .*?low of (\S+), a high of (\S+) and a mean/g)];
  return [...once, ...moved].flatMap(([, name = "", ...values]) => values.map((value): [string, string] => [name, value]));
}

it("shows true statements of the builtin analyst within twenty seconds, then every ten", async () => {
  system = await npmStart(["--port", "0", "--data-dir", temp.dir], NO_KEYS);
  const begun = performance.now();
  const { socket, feedId, topic } = await visit(system);
  const first = await socket.frame("an analysis", isAnalysis, 20_000 * busyFactor());
  expect(performance.now() - begun).toBeLessThan(20_000 * busyFactor());
  expect(first.payload).toMatchObject({
    feedId,
    topic,
    provider: "builtin",
    analysis: expect.stringMatching(/^Builtin analysis of coinbase/i),
  });
  const count = Number(/The window holds (\d+) messages/.exec(String(first.payload["analysis"]))?.[1]);
  expect(count).toBeGreaterThan(1);
  expect(count).toBeLessThanOrEqual(50);
  const claims = claimsOf(String(first.payload["analysis"]));
  expect(claims.length).toBeGreaterThan(1);
  const data = socket.of("topic-data").map(({ text }) => text);
  for (const [name, value] of claims) {
    const said = [`"${name}":"${value}"`, `"${name}":${value}`];
    expect(
      data.some((text) => said.some((pair) => text.includes(pair))),
      `${name} was ${value}`,
    ).toBe(true);
  }
  await socket.when("a second one", () => socket.of("llm-intelligence").length >= 2, 20_000 * busyFactor());
  const [one, two] = socket.of("llm-intelligence").map(({ payload }) => Date.parse(String(payload["timestamp"])));
  expect(Math.abs((two ?? 0) - (one ?? 0) - 10_000)).toBeLessThan(1_000 * busyFactor());
  await socket.close();
}, 180_000);

it("shows those of a provider that is configured", async () => {
  system = await npmStart(["--port", "0", "--data-dir", temp.dir], {
    ...NO_KEYS,
    OPENAI_API_KEY: "sk-local",
    OPENAI_BASE_URL: `${provider.url}/v1`,
  });
  const { socket } = await visit(system);
  const { payload } = await socket.frame("an analysis", isAnalysis, 20_000 * busyFactor());
  expect(payload).toMatchObject({ provider: "openai", analysis: "Prices are rising." });
  expect(provider.calls("openai")[0]?.headers["authorization"]).toBe("Bearer sk-local");
  await socket.close();
}, 180_000);
