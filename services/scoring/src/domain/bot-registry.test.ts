import { describe, expect, it } from "vitest";
import { createBotMatcher, type RegistryData } from "./bot-registry.ts";

const registry: RegistryData = {
  version: "test",
  entries: [
    { token: "Googlebot", name: "Googlebot", category: "search_crawler" },
    { token: "Googlebot-Image", name: "Googlebot Images", category: "search_crawler" },
    { token: "ZAP", name: "ZAP", category: "scanner", at: "word" },
    { token: "Java/", name: "Java", category: "scraper", at: "start" },
  ],
  names: [
    { token: "AcmeBot", name: "Acme", category: "seo_tool" },
    { pattern: /other ?crawl(?:er)?/i, name: "Other", category: "seo_tool" },
    { token: "chrome", name: "never alone", category: "seo_tool" },
  ],
};
const matcher = createBotMatcher(registry, (userAgent) => /bot|crawl|spider|phantom|discover/i.test(userAgent));
const ANDROID =
  "Mozilla/5.0 (Linux; Android 8.1.0; MODEL Build/O11019) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/65.0.3325.109 Mobile Safari/537.36";

describe("bot registry", () => {
  it.each([
    ["x GOOGLEBOT/2.1", { name: "Googlebot", category: "search_crawler" }],
    ["googlebot-image/1.0 (compatible)", { name: "Googlebot Images", category: "search_crawler" }],
    ["Mozilla/5.0 ZAP/2.1 scan", { name: "ZAP", category: "scanner" }],
    ["Java/17.0.1 with more", { name: "Java", category: "scraper" }],
    ["Mozilla/5.0 (compatible; AcmeBot/1)", { name: "Acme", category: "seo_tool" }],
    ["Mozilla/5.0 (compatible; Other Crawler/1)", { name: "Other", category: "seo_tool" }],
    ["FooSpider/1.0 more", { category: "unknown_bot" }],
    ["", null],
    ["   ", null],
  ])("%s", (userAgent, expected) => expect(matcher.match(userAgent)).toStrictEqual(expected));

  it.each(["CUBOT NOTE 20", "PHANTOM9", "XBot_Senior", "Discovery_A10"])("takes a phone called %s for a phone", (model) => {
    expect(matcher.match(ANDROID.replace("MODEL", model))).toBeNull();
    expect(matcher.match(`${ANDROID.replace("MODEL", model)} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)`)).toMatchObject({
      name: "Googlebot",
    });
  });

  it("does not find a word inside another", () => {
    expect(matcher.match("Mozilla/5.0 (Windows NT 10.0) Zapper/1.0 Gecko/1")).toBeNull();
    expect(matcher.match("LG-T510 AppleWebkit/531 Browser/V2.0 Java/ASVM")).toBeNull();
  });

  it.each(["Artifactory/7.21.5 72105900", "internal-sync/1.0.2", "tool/2 go/go1.12.17 os/linux", "x/1 Python 3.11.8 (main)"])(
    "knows a program by its shape: %s",
    (userAgent) => expect(matcher.match(userAgent)).toStrictEqual({ category: "unknown_bot" }),
  );

  it.each([
    "Opera/9.80 (Linux mips; U; HbbTV/1.1.1 (; Discover; iCord; 1.0.0; 1.0.0; ); ce-html/1.0; en) Presto/2.10.250 Version/11.60",
    "iPhone14Plus",
    "Firefox 3.0.5",
  ])("takes an appliance or a bare name for a person's: %s", (userAgent) => expect(matcher.match(userAgent)).toBeNull());
});
