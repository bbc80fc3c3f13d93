/** A user agent for people: `Firefox on Linux`. Only a hint; the raw text is shown beside it. Pure. Tests: user-agent.test.ts. */

/** First match wins: browsers name others for compatibility. */
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(e|A|iOS)?\//, "Edge"],
  [/\b(OPR|Opera)\b/, "Opera"],
  [/\bFirefox\/|\bFxiOS\//, "Firefox"],
  [/\bChrome\/|\bCriOS\//, "Chrome"],
  [/\bSafari\//, "Safari"],
  [/^curl\//, "curl"],
  [/^python|^Python/, "Python"],
  [/^node\b|^undici/, "Node.js"],
  [/^Go-http-client/, "Go"],
];
const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\bAndroid\b/, "Android"],
  [/\biPhone|\biPad/, "iOS"],
  [/\bWindows\b/, "Windows"],
  [/\bMac OS X\b|\bMacintosh\b/, "macOS"],
  [/\bLinux\b/, "Linux"],
];

export function describeUserAgent(raw: string): string {
  const find = (table: readonly (readonly [RegExp, string])[]): string | undefined => table.find(([pattern]) => pattern.test(raw))?.[1];
  const browser = find(BROWSERS) ?? "Unknown client";
  const system = find(SYSTEMS);
  return system === undefined ? browser : `${browser} on ${system}`;
}
