import { describe, expect, it } from "vitest";
import { createCatalog } from "./catalog.ts";
import { smallCatalog } from "./fixtures.ts";

const MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15";

describe("catalog", () => {
  it("examines a user agent once", () => {
    let examined = 0;
    const catalog = createCatalog({
      registry: { version: "v", entries: [], names: [] },
      parse: () => ({}),
      looksLikeBot: () => {
        examined++;
        return false;
      },
    });
    const first = catalog.agentOf({ userAgent: MAC });
    expect(catalog.agentOf({ userAgent: MAC, maxTouchPoints: 0 })).toBe(first);
    expect(examined).toBe(1);
    expect(catalog.version).toBe("v");
  });

  it("tells an iPad from a Mac by its touch points only", () => {
    const catalog = smallCatalog();
    expect(catalog.agentOf({ userAgent: MAC, maxTouchPoints: 5 }).device).toStrictEqual({
      type: "tablet",
      browser: "Safari",
      os: "iPadOS",
      isMobile: true,
    });
    expect(catalog.agentOf({ userAgent: MAC, maxTouchPoints: 1 }).device).toStrictEqual({
      type: "desktop",
      browser: "Safari",
      os: "macOS",
      isMobile: false,
    });
  });

  it.each([
    [{ clientPlatform: "ios" }, "mobile", "iOS"],
    [{ clientPlatform: "ios", platform: "iPad" }, "tablet", "iPadOS"],
    [{ clientPlatform: "android" }, "mobile", "Android"],
    [{ clientPlatform: "android", viewport: { width: 1280, height: 800 } }, "tablet", "Android"],
    [{ clientPlatform: "react-native", userAgent: "Shop/1 CFNetwork/1 Darwin/22" }, "mobile", "iOS"],
    [{ clientPlatform: "react-native", userAgent: "okhttp/4" }, "mobile", "Android"],
  ] as const)("labels the app %j", (device, type, os) => {
    expect(smallCatalog().agentOf({ userAgent: "app/1", ...device }).device).toStrictEqual({
      type,
      browser: "Unknown",
      os,
      isMobile: true,
    });
  });
});
