/**
 * Device label from the user agent and the client's hints: type, browser, operating system, in our own canonical names.
 * Token rules decide; the library parser is asked about what they leave open (known phone and tablet models, televisions).
 * Tests: device.test.ts; measured by test/acceptance/user-agents.
 */
import type { DeviceLabel, VisitDevice } from "@headwater/protocol";
import { deviceTypeOf } from "./device-type.ts";

/** What a user-agent library says, in its own words. */
export interface ParsedAgent {
  readonly os?: string | undefined;
  /** `mobile`, `tablet`, `smarttv`, `wearable`, … */
  readonly deviceType?: string | undefined;
}

type NativePlatform = "ios" | "android" | "react-native";

/** First match wins: engines imitate each other, so the most specific token comes first. */
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(?:e|A|iOS)?\//, "Edge"],
  [/\bOPR\/|\bOPT\/|\bOPX\/|\bOPiOS\/|\bOpera(?:GX)?\b/, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\bBrave\b/i, "Brave"],
  [/\bDuckDuckGo\/|\bDdg\//, "DuckDuckGo"],
  [/\bFirefox\b|\bFxiOS\/|\bFocus\/|\bKlar\/|\b(?:BonEcho|GranParadiso|Shiretoko|Namoroka|Lorentz|Minefield|Nightly)\b/, "Firefox"],
  [/\bCriOS\/|\bChrome\/|\bChromium\/|\bCrMo\//, "Chrome"],
  // An Android browser before Chrome calls itself Safari as well.
  [/^(?!.*\bAndroid\b).*\bVersion\/[\d.]+.*\bSafari\//, "Safari"],
  // Safari fetching for itself, outside a page.
  [/^(?:Mobile)?Safari[\d/%].*CFNetwork\/|^com\.apple\.WebKit\.Networking\//, "Safari"],
  // A page in the system's own web view, with no app name behind it.
  [/\b(?:iPhone|iPad|iPod)\b.*AppleWebKit.*Mobile\/\w+$|^iPhone\w*$/, "Safari"],
];

const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\biPad\b/, "iPadOS"],
  [/\biPhone\b|\biPod\b/, "iOS"],
  [/\bWindows\b/, "Windows"],
  [/\bAndroid\b/, "Android"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bMac OS X\b|\bMacintosh\b/, "macOS"],
  [/\bLinux\b|\bX11\b/, "Linux"],
];

const SYSTEM_ALIASES: ReadonlyMap<string, string> = new Map([
  ["Mac OS", "macOS"],
  ["Windows", "Windows"],
  ["Chromium OS", "ChromeOS"],
  ["Android", "Android"],
  ["iOS", "iOS"],
  ["Linux", "Linux"],
  ["Ubuntu", "Linux"],
  ["Debian", "Linux"],
  ["Fedora", "Linux"],
]);

export function deviceOf(userAgent: string, parse: (userAgent: string) => ParsedAgent): DeviceLabel {
  // The parser costs more than everything else here together and most agents never need it.
  let parsed: ParsedAgent | undefined;
  const ask = (): ParsedAgent => (parsed ??= parse(userAgent));
  const type = deviceTypeOf(userAgent, () => ask().deviceType);
  return labelOf(
    type,
    browserOf(userAgent),
    systemOf(userAgent, () => ask().os),
  );
}

/**
 * The label of the same agent on a touch screen, when that changes it: Safari on an iPad sends the agent of a Mac, and only the
 * number of touch points tells them apart.
 */
export function padOf(userAgent: string, label: DeviceLabel): DeviceLabel | undefined {
  return userAgent.includes("Macintosh") ? labelOf("tablet", label.browser, "iPadOS") : undefined;
}

/** Apps say what they run on; their agent is that of an HTTP library. The browser is `Unknown` there. */
export function nativeDeviceOf(device: VisitDevice, platform: NativePlatform): DeviceLabel {
  const isApple = platform === "ios" || (platform === "react-native" && /iPhone|iPad|iPod|Darwin|CFNetwork|iOS/.test(hintsOf(device)));
  const isPad = isApple ? /iPad/.test(hintsOf(device)) : isTabletSized(device);
  const system = isApple ? (isPad ? "iPadOS" : "iOS") : "Android";
  return labelOf(isPad ? "tablet" : "mobile", "Unknown", system);
}

function hintsOf(device: VisitDevice): string {
  return `${device.userAgent} ${device.platform ?? ""}`;
}

/** Android's own boundary between phones and tablets: 600 density-independent pixels on the short side. */
function isTabletSized(device: VisitDevice): boolean {
  return device.viewport !== undefined && Math.min(device.viewport.width, device.viewport.height) >= 600;
}

function browserOf(userAgent: string): string {
  return BROWSERS.find(([token]) => token.test(userAgent))?.[1] ?? "Unknown";
}

function systemOf(userAgent: string, askParser: () => string | undefined): string {
  return SYSTEMS.find(([token]) => token.test(userAgent))?.[1] ?? SYSTEM_ALIASES.get(askParser() ?? "") ?? "Unknown";
}

function labelOf(type: DeviceLabel["type"], browser: string, os: string): DeviceLabel {
  return { type, browser, os, isMobile: type !== "desktop" };
}
