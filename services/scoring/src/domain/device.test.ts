import { describe, expect, it } from "vitest";
import { deviceOf } from "./device.ts";

const ENGINE = "AppleWebKit/537.36 (KHTML, like Gecko)";
const label = (userAgent: string, deviceType?: string): string[] => {
  const { type, browser, os } = deviceOf(userAgent, () => ({ deviceType }));
  return [type, browser, os];
};

describe("device", () => {
  it.each([
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${ENGINE} Chrome/140.0.0.0 Safari/537.36`, "desktop", "Chrome", "Windows"],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${ENGINE} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`, "desktop", "Edge", "Windows"],
    [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${ENGINE} Chrome/140.0.0.0 Safari/537.36 OPR/120.0.0.0`, "desktop", "Opera", "macOS"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "desktop", "Firefox", "Linux"],
    [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${ENGINE} Chrome/140.0.0.0 Safari/537.36`, "desktop", "Chrome", "ChromeOS"],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
      "mobile",
      "Safari",
      "iOS",
    ],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
      "mobile",
      "Chrome",
      "iOS",
    ],
    [
      "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/40 Mobile/15E148 Safari/604.1",
      "tablet",
      "Firefox",
      "iPadOS",
    ],
    [
      `Mozilla/5.0 (Linux; Android 14; SM-S921B) ${ENGINE} SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36`,
      "mobile",
      "Samsung Internet",
      "Android",
    ],
    [`Mozilla/5.0 (Linux; Android 10; K) ${ENGINE} Chrome/140.0.0.0 Safari/537.36`, "tablet", "Chrome", "Android"],
    [`Mozilla/5.0 (Linux; Android 11; SM-T805S) ${ENGINE} Chrome/109.0.5414.118 Mobile Safari/537.36`, "tablet", "Chrome", "Android"],
    [
      `Mozilla/5.0 (Linux; Android 9; ASUS Chromebook Flip C101PA) ${ENGINE} Chrome/80.0.3987.99 Safari/537.36`,
      "desktop",
      "Chrome",
      "Android",
    ],
    [
      `Mozilla/5.0 (Linux; Android 14) ${ENGINE} Version/4.0 Chrome/140.0.0.0 Mobile DuckDuckGo/5 Safari/537.36`,
      "mobile",
      "DuckDuckGo",
      "Android",
    ],
    ["Mozilla/5.0 (Mobile; Nokia_2720_Flip; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5.2.2", "mobile", "Firefox", "Unknown"],
    [
      "Mozilla/5.0 (Linux; U; Android 4.0.3; de-de; X) AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30",
      "mobile",
      "Unknown",
      "Android",
    ],
    ["", "desktop", "Unknown", "Unknown"],
    ["something else", "desktop", "Unknown", "Unknown"],
  ])("%s", (userAgent, type, browser, os) => expect(label(userAgent)).toStrictEqual([type, browser, os]));

  const typeOf = (model: string, suffix: string): string | undefined =>
    label(`Mozilla/5.0 (Linux; Android 10; ${model}) ${ENGINE} Chrome/120.0.0.0 ${suffix}`)[0];

  it.each([
    "SM-X210",
    "TB-X606F",
    "AGS2-W09",
    "KFTRWI",
    "Nexus 7",
    "HUAWEI BAH3-L09",
    "24091RPADC",
    "OPD2203",
    "Mi Pad 4",
    "Galaxy Tab A9",
    "Sunrise 9 Wi-Fi",
    "PRESTIGIO PMT3101_4G",
  ])("knows %s as a tablet though it sends a phone's agent", (model) => expect(typeOf(model, "Mobile Safari/537.36")).toBe("tablet"));

  it.each(["SM-S918B", "CPH2145", "ASUS_I005D", "9008X", "Pixel 8", "BQ-5060L", "TM-5003", "Archos 50 Saphir", "KM0450", "HP Slate 6"])(
    "knows %s as a phone",
    (model) => expect(typeOf(model, "Mobile Safari/537.36")).toBe("mobile"),
  );

  it.each([
    ["SM-F946B", "mobile"],
    ["Redmi Note 12", "mobile"],
    ["Redmi Pad SE", "tablet"],
    ["Dell Chromebook 11 (3180)", "desktop"],
    ["Some TV", "desktop"],
    ["AFTMM", "desktop"],
  ])("takes %s without Mobile for a %s", (model, type) => expect(typeOf(model, "Safari/537.36")).toBe(type));

  it("takes a television for a desktop, whatever its system", () => {
    expect(label("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/108.0.5359.211 Safari/537.36")[0]).toBe(
      "desktop",
    );
  });

  it("asks the library only about what the tokens leave open", () => {
    expect(label("something else", "mobile")[0]).toBe("mobile");
    expect(label(`Mozilla/5.0 (Windows NT 10.0) ${ENGINE} Chrome/1 Safari/1`, "mobile")[0]).toBe("desktop");
    expect(label(`Mozilla/5.0 (Linux; Android 9; BRAVIA 4K) ${ENGINE} Chrome/80 Safari/537.36`, "smarttv")[0]).toBe("desktop");
  });

  it("says isMobile for everything but a desktop", () => {
    expect(deviceOf("iPhone", () => ({})).isMobile).toBe(true);
    expect(deviceOf("", () => ({})).isMobile).toBe(false);
  });
});
