/**
 * What can be said about an upstream URL without resolving names: the stand-in for ingest's check while ingest is away. Ingest checks every
 * address again at every connect, so this decides about an error message, not about safety. Pure; tests: outbound-url.test.ts.
 */
import type { CheckUrlAnswer, ConnectionType } from "@headwater/protocol";

const SCHEMES: Record<ConnectionType, readonly string[]> = {
  websocket: ["ws:", "wss:"],
  protobuf: ["ws:", "wss:"],
  socketio: ["ws:", "wss:", "http:", "https:"],
  "http-polling": ["http:", "https:"],
};

/** First address and prefix length of IPv4 blocks that are not public. */
const NOT_PUBLIC: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];
const LOCAL_NAME = /(^|\.)(localhost|local|internal|home\.arpa)$/;
/** 2000::/3 is what is routed; documentation, 6to4 and Teredo lie within it. */
const PUBLIC_IPV6 = /^\[(?!2001:(?:0?:|db8:)|2002:)[23][0-9a-f]{3}:/;

export function judgeUrl(text: string, connectionType: ConnectionType): CheckUrlAnswer["verdict"] {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !SCHEMES[connectionType].includes(url.protocol) || url.hostname === "") return "invalid";
  if (url.username !== "" || url.password !== "") return "invalid";
  const host = url.hostname.replace(/\.$/, "").toLowerCase();
  if (host.startsWith("[")) return PUBLIC_IPV6.test(host) ? "ok" : "forbidden";
  // The parser has made dotted decimals of every other spelling for the http and ws schemes.
  const address = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.test(host) ? toNumber(host) : undefined;
  if (address !== undefined) return NOT_PUBLIC.some(([first, bits]) => sameBlock(address, toNumber(first), bits)) ? "forbidden" : "ok";
  return LOCAL_NAME.test(host) || !host.includes(".") ? "forbidden" : "ok";
}

function toNumber(dotted: string): number {
  return dotted.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function sameBlock(a: number, b: number, bits: number): boolean {
  const size = 2 ** (32 - bits);
  return Math.floor(a / size) === Math.floor(b / size);
}
