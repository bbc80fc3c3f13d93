import { describe, expect, it } from "vitest";
import { privacyKeyOf } from "./privacy-key.ts";

describe("privacyKeyOf", () => {
  it("is a fixed function: stored erasures must be found again after an upgrade", () => {
    expect(privacyKeyOf("k".repeat(32), "ten_1", "vis_1")).toBe("fd145f5e3dfbee9c60f1aa2f32e740e1");
    expect(privacyKeyOf("k".repeat(32), "ten_1", "vis_é")).toBe("c9799420d1be62c4464ab88adb6aafb5");
  });
  it("differs by secret, tenant and visitor", () => {
    const keys = [privacyKeyOf("a", "t", "v"), privacyKeyOf("b", "t", "v"), privacyKeyOf("a", "u", "v"), privacyKeyOf("a", "t", "w")];
    expect(new Set(keys).size).toBe(4);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/);
  });
});
