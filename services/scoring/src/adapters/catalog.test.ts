import { describe, expect, it } from "vitest";
import { openCatalog } from "./catalog.ts";

// Reads the committed registry file once; everything else is pure.
const catalog = openCatalog(1_000);
const hitOf = (userAgent: string): unknown => catalog.agentOf({ userAgent }).hit;

describe("the real catalog", () => {
  it("is versioned", () => expect(catalog.version).toMatch(/^\d{4}\.\d+\.\d+$/));

  it.each([
    ["Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "search_crawler", "Googlebot"],
    ["Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "search_crawler", "Bingbot"],
    ["Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ChatGPT-User/1.0; +https://openai.com/bot)", "ai_agent", "ChatGPT"],
    ["Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", "ai_agent", "Claude"],
    ["Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)", "seo_tool", "AhrefsBot"],
    ["facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "social_preview", "facebookexternalhit"],
    ["curl/8.5.0", "scraper", "curl"],
    ["python-httpx/0.27.0", "scraper", "python-httpx"],
    [
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
      "automation",
      "HeadlessChrome",
    ],
    ["Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "monitoring", "UptimeRobot"],
    ["sqlmap/1.8 (https://sqlmap.org)", "scanner", "sqlmap"],
  ])("%s", (userAgent, category, name) => expect(hitOf(userAgent)).toStrictEqual({ category, name }));

  it("names a crawler that only the long list knows", () => {
    expect(hitOf("Mozilla/5.0 (compatible; SeekportBot; +https://bot.seekport.com)")).toMatchObject({ name: expect.any(String) });
  });

  it("finds an unlisted bot without a name", () => expect(hitOf("FooSpider/1.0")).toStrictEqual({ category: "unknown_bot" }));

  it.each([
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 9; TECNO PHANTOM9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 300.0.0.0 (iPhone14,5; iOS 17_0; en_US; scale=3.00; 1170x2532)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/440.0.0.0;FBDV/iPhone14,5]",
    "Mozilla/5.0 (Linux; Android 13; SM-G991B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36 Google-Extended",
  ])("leaves people alone: %s", (userAgent) => expect(hitOf(userAgent)).toBeNull());

  it.each(["Applebot-Extended", "Google-Extended"])("knows %s as a robots.txt token, not as an agent", (token) => {
    expect(hitOf(`Mozilla/5.0 ${token}`)).toBeNull();
  });
});
