/**
 * Where the product may connect to on behalf of a customer: public addresses only (or an operator's exact exceptions), checked for every
 * address a name resolves to, at every connect, and pinned, so that a second resolution cannot lead elsewhere. Tests: outbound-guard.test.ts.
 */
import { lookup, Resolver } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import type { CheckUrlAnswer, ConnectionType } from "@headwater/protocol";
import ipaddr from "ipaddr.js";

/** The address may not be connected to, or the URL is none. The message may be shown to the feed's owner. */
export class OutboundRefused extends Error {
  override readonly name = "OutboundRefused";
  readonly verdict: "invalid" | "forbidden";
  constructor(verdict: "invalid" | "forbidden") {
    super(verdict === "invalid" ? "url is invalid" : "url is not allowed");
    this.verdict = verdict;
  }
}

/** The name has no address now: passes, so worth another attempt. */
export class Unresolvable extends Error {
  override readonly name = "Unresolvable";
  constructor() {
    super("host name cannot be resolved");
  }
}

/** A checked place: connect through `lookup`, which answers with the checked addresses whatever it is asked. */
export interface OutboundTarget {
  url: URL;
  addresses: readonly PinnedAddress[];
  lookup: LookupFunction;
}

export interface PinnedAddress {
  address: string;
  family: 4 | 6;
}

/** All addresses of a name; empty when it has none. */
export type ResolveName = (name: string) => Promise<string[]>;

export interface OutboundGuardOptions {
  /** Exact `host:port` of URLs that are allowed whatever they resolve to: an operator's own. */
  allowedHosts: readonly string[];
  /** Every address is allowed. */
  allowPrivate: boolean;
  /** Default: DNS; with `allowPrivate` also the machine's own names. */
  resolve?: ResolveName;
}

export interface OutboundGuard {
  /** @throws OutboundRefused, Unresolvable */
  resolve(url: string, connectionType: ConnectionType): Promise<OutboundTarget>;
  check(url: string, connectionType: ConnectionType): Promise<CheckUrlAnswer["verdict"]>;
}

const SCHEMES: Record<ConnectionType, readonly string[]> = {
  websocket: ["ws:", "wss:"],
  protobuf: ["ws:", "wss:"],
  socketio: ["ws:", "wss:", "http:", "https:"],
  "http-polling": ["http:", "https:"],
};
const DEFAULT_PORTS: Record<string, string> = { "ws:": "80", "http:": "80", "wss:": "443", "https:": "443" };

export function createOutboundGuard(options: OutboundGuardOptions): OutboundGuard {
  const resolveName = options.resolve ?? (options.allowPrivate ? ownNames : publicNames);
  const allowed = new Set(options.allowedHosts.map((host) => host.toLowerCase()));

  const resolve = async (text: string, connectionType: ConnectionType): Promise<OutboundTarget> => {
    const url = parseTarget(text, connectionType);
    const isExempt = options.allowPrivate || allowed.has(`${url.hostname}:${url.port || DEFAULT_PORTS[url.protocol]}`);
    const literal = literalOf(url.hostname);
    if (!isExempt && (literal === undefined ? isLocalName(url.hostname) : !isPublicAddress(literal)))
      throw new OutboundRefused("forbidden");
    // Exceptions are names of this machine's own network.
    const texts = literal === undefined ? await (isExempt ? ownNames : resolveName)(bareName(url.hostname)) : [literal];
    if (!isExempt && !texts.every(isPublicAddress)) throw new OutboundRefused("forbidden");
    const addresses = texts.map((address): PinnedAddress => ({ address, family: address.includes(":") ? 6 : 4 }));
    if (addresses.length === 0) throw new Unresolvable();
    return { url, addresses, lookup: pinned(addresses) };
  };
  return {
    resolve,
    async check(url, connectionType) {
      try {
        await resolve(url, connectionType);
        return "ok";
      } catch (error) {
        if (error instanceof OutboundRefused) return error.verdict;
        if (error instanceof Unresolvable) return "ok";
        throw error;
      }
    },
  };
}

/** WHATWG parsing makes one spelling of the many an address can have (`0x7f.1`, `2130706433`). */
function parseTarget(text: string, connectionType: ConnectionType): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !SCHEMES[connectionType].includes(url.protocol) || url.hostname === "") throw new OutboundRefused("invalid");
  // Credentials belong into headers, which are sealed; a URL is shown to everyone who sees the feed.
  if (url.username !== "" || url.password !== "") throw new OutboundRefused("invalid");
  url.hash = "";
  return url;
}

/** The URL parser has made dotted decimals of every other spelling; a trailing dot survives it. */
function literalOf(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[|\]$|\.$/g, "");
  return isIP(bare) === 0 ? undefined : bare;
}

function bareName(hostname: string): string {
  return hostname.replace(/\.$/, "").toLowerCase();
}

/** Names that never mean a public host, whatever a resolver says. */
function isLocalName(hostname: string): boolean {
  const name = bareName(hostname);
  return name === "localhost" || /\.(localhost|local|internal|home\.arpa)$/.test(name);
}

/** Global unicast and nothing of the special ranges inside it. */
export function isPublicAddress(text: string): boolean {
  // Stricter than the parser below, which also knows the short and odd spellings.
  if (isIP(text) === 0) return false;
  const address = ipaddr.parse(text);
  if (address.kind() === "ipv4") return address.range() === "unicast";
  // Only 2000::/3 is given out to the public; the rest maps, translates or stays at home.
  return address.range() === "unicast" && ((address.toByteArray()[0] ?? 0) & 0xe0) === 0x20;
}

function pinned(addresses: readonly PinnedAddress[]): LookupFunction {
  return (_name, options, callback) => {
    const wanted = options.family === 4 || options.family === 6 ? addresses.filter(({ family }) => family === options.family) : addresses;
    const first = wanted[0];
    if (!first) return callback(new Unresolvable(), "", 4);
    if (options.all === true) callback(null, [...wanted]);
    else callback(null, first.address, first.family);
  };
}

const RESOLVER = { timeout: 2_000, tries: 2 };

/** DNS itself, not the machine's resolver: no search domains, no hosts file, and no thread that a slow name server could occupy. */
async function publicNames(name: string): Promise<string[]> {
  const resolver = new Resolver(RESOLVER);
  const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
  return answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
}

async function ownNames(name: string): Promise<string[]> {
  try {
    return (await lookup(name, { all: true, verbatim: true })).map(({ address }) => address);
  } catch {
    return []; // told as unresolvable
  }
}
