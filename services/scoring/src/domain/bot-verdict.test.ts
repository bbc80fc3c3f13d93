import type { VisitEvent } from "@headwater/protocol";
import { describe, expect, it } from "vitest";
import { classOf, judge } from "./bot-verdict.ts";
import { CHROME, foldAll, foldScript, script, visit } from "./fixtures.ts";
import { newSession, newVisitorState } from "./visitor-state.ts";

const judgeFirst = (overrides: Partial<VisitEvent>, hit: Parameters<typeof judge>[2] = null): ReturnType<typeof judge> =>
  judge(newSession("s", 0), visit(overrides), hit);
const withDevice = (device: Partial<VisitEvent["device"]>): Partial<VisitEvent> => ({ device: { userAgent: CHROME, ...device } });

describe("verdict", () => {
  it("takes a first ordinary pageview for a person", () => {
    expect(judgeFirst({})).toStrictEqual({ bot: { isBot: false, score: 8 }, class: "human", humanConfidence: 55 });
  });

  it("names a registry hit, and an unknown bot by category only", () => {
    expect(judgeFirst({}, { category: "ai_agent", name: "GPTBot" })).toMatchObject({
      bot: { isBot: true, score: 95, category: "ai_agent", name: "GPTBot" },
      class: "bot",
      humanConfidence: 10,
    });
    expect(judgeFirst({}, { category: "unknown_bot" }).bot).toStrictEqual({ isBot: true, score: 75, category: "unknown_bot" });
  });

  it.each(["server", "mobile"] as const)("does not hold the agent of a %s key against it", (keyType) => {
    const verdict = judgeFirst({ keyType, device: { userAgent: "python-httpx/0.27" } }, { category: "scraper", name: "python-httpx" });
    expect(verdict).toStrictEqual({ bot: { isBot: false, score: 8 }, class: "human", humanConfidence: 55 });
    expect(judgeFirst({ keyType, device: { userAgent: "" } }).humanConfidence).toBe(55);
  });

  it("judges agents that edge capture reports, although it uses a server key", () => {
    const capture = { keyType: "server", origin: "edge" } as const;
    expect(judgeFirst(capture, { category: "ai_agent", name: "GPTBot" }).bot).toMatchObject({ isBot: true, name: "GPTBot" });
    expect(judgeFirst({ ...capture, edge: { hosting: true } })).toMatchObject({ bot: { isBot: true, score: 60 }, class: "likely_bot" });
  });

  it("mixes in an edge score and trusts a good one", () => {
    expect(judgeFirst({ edge: { botScore: 5 } }).bot).toStrictEqual({ isBot: false, score: 78 });
    expect(judgeFirst({ edge: { botScore: 99 } }).bot.score).toBe(2);
  });

  it("is a bot without any user agent", () => {
    expect(judgeFirst({ device: { userAgent: "  " } })).toMatchObject({ bot: { isBot: true }, humanConfidence: 15 });
  });

  it("clamps hostile numbers", () => {
    expect(judgeFirst(withDevice({ automation: { score: 1e9 } })).bot.score).toBe(90);
    expect(judgeFirst({ edge: { botScore: -1e9 } }).bot.score).toBeLessThanOrEqual(100);
  });
});

describe("stealth", () => {
  const windowsOnLinux = { platform: "Linux x86_64" };
  it("needs two contradictions", () => {
    expect(judgeFirst(withDevice(windowsOnLinux)).bot).toStrictEqual({ isBot: false, score: 8 });
    expect(judgeFirst(withDevice({ ...windowsOnLinux, viewport: { width: 0, height: 0 } })).bot).toStrictEqual({
      isBot: false,
      score: 70,
      category: "stealth_bot",
    });
  });

  it.each<[string, Partial<VisitEvent>]>([
    ["TLS of a script", { edge: { ja4: "t13d1516__0_8daaf6152771_b0da82dd1588".replace("__0", "00") } }],
    ["probe hits", { device: { userAgent: CHROME, ...windowsOnLinux, automation: { signals: ["a", "b", "c"] } } }],
  ])("adds up with %s", (_, overrides) => {
    const device = { userAgent: CHROME, ...windowsOnLinux, ...overrides.device };
    expect(judgeFirst({ ...overrides, device }).bot.category).toBe("stealth_bot");
  });

  it("learns from the SDK's mouse summary", () => {
    const state = newVisitorState();
    const device = { userAgent: CHROME, platform: "Linux x86_64" };
    const [first, second, summary] = script("0 pv /; 2 sc 10; 1 cu mouse_dynamics_summary", { device });
    if (first === undefined || second === undefined || summary === undefined) throw new Error("script");
    const labels = foldAll(state, [first, { ...summary, properties: { entropy: 0.01 } }, second]);
    expect(labels.map((label) => label.ext.bc)).toStrictEqual([undefined, "stealth_bot"]);
  });

  it("accepts a Mac that is an iPad, and a phone in developer tools", () => {
    const mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15";
    expect(judgeFirst({ device: { userAgent: mac, platform: "MacIntel", maxTouchPoints: 5 } }).class).toBe("human");
  });
});

describe("behaviour", () => {
  it("labels a page reloaded like clockwork as a kiosk", () => {
    const reloads = Array.from({ length: 30 }, (_, i) => `${i * 60} pv /board`).join(";");
    expect(foldScript(newVisitorState(), reloads).ext.bc).toBe("kiosk");
    expect(foldScript(newVisitorState(), `${reloads}; 1801 sc 10`).ext.bc).toBeUndefined();
  });

  it("draws no conclusion from pauses that are all zero", () => {
    expect(foldScript(newVisitorState(), "0 pv /; 0 ck #a; 0 sc 20; 0 sc 30; 0 ck #b; 0 ck #c; 0 sc 50").ext.l?.hc).toBe(80);
  });

  it("prefers irregular pauses to regular ones", () => {
    const regular = foldScript(newVisitorState(), "0 pv /; 10 ck #a; 20 ck #a; 30 ck #a; 40 ck #a; 50 ck #a").ext.l?.hc ?? 0;
    const human = foldScript(newVisitorState(), "0 pv /; 2 ck #a; 20 ck #a; 23 ck #a; 41 ck #a; 50 ck #a").ext.l?.hc ?? 0;
    expect(human - regular).toBe(35);
  });
});

describe("class", () => {
  it.each([
    [{ isBot: true, score: 70 }, 39, "bot"],
    [{ isBot: true, score: 69 }, 29, "likely_bot"],
    [{ isBot: true, score: 69 }, 30, "suspicious"],
    [{ isBot: false, score: 50 }, 29, "likely_bot"],
    [{ isBot: false, score: 29 }, 50, "human"],
    [{ isBot: false, score: 30 }, 50, "suspicious"],
    [{ isBot: false, score: 29 }, 49, "suspicious"],
  ] as const)("%j with confidence %d is %s", (bot, confidence, expected) => expect(classOf(bot, confidence)).toBe(expected));
});
