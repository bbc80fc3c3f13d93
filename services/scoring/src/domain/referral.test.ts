import { describe, expect, it } from "vitest";
import { visit } from "./fixtures.ts";
import { channelOf, hostOf } from "./referral.ts";

describe("referral", () => {
  it.each([
    ["https://user:pw@Shop.Example:8443/x?y", "shop.example"],
    ["android-app://com.example/x", "com.example"],
    ["/relative", undefined],
    ["", undefined],
  ])("host of %s is %s", (url, host) => expect(hostOf(url)).toBe(host));

  it.each([
    [{}, "direct"],
    [{ referrer: "" }, "direct"],
    [{ referrer: "https://www.google.co.uk/" }, "search"],
    [{ referrer: "https://t.co/abc" }, "social"],
    [{ referrer: "https://chatgpt.com/" }, "ai"],
    [{ referrer: "https://mail.google.com/" }, "email"],
    [{ referrer: "https://shop.example/a", url: "https://shop.example/b" }, "internal"],
    [{ referrer: "https://partner.example/" }, "referral"],
    [{ url: "https://shop.example/?utm_medium=email" }, "email"],
    [{ url: "https://shop.example/?x=1&utm_medium=cpc#y", referrer: "https://www.google.com/" }, "paid"],
  ])("%j came by %s", (overrides, channel) => expect(channelOf(visit(overrides))).toBe(channel));
});
