/** Who is calling and how: the peer, or what a trusted proxy says about it. Tests: limits.test.ts. */
import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";
import { TLSSocket } from "node:tls";

/** @param trusted addresses and CIDR blocks. @throws RangeError for anything else. */
export function createClientAddress(trusted: readonly string[]): (req: IncomingMessage) => string {
  const isTrusted = createTrust(trusted);
  return (req) => {
    const peer = plain(req.socket.remoteAddress ?? "");
    if (!isTrusted(peer)) return peer;
    const claimed = String(req.headers["x-forwarded-for"] ?? "")
      .split(",")
      .map((item) => plain(item.trim()));
    // From the nearest hop outwards: the first one that is not ours.
    return claimed.findLast((address) => isIP(address) !== 0 && !isTrusted(address)) ?? peer;
  };
}

/** @param trusted proxies whose `X-Forwarded-Proto` is believed. */
export function createClientScheme(trusted: readonly string[]): (req: IncomingMessage) => "http" | "https" {
  const isTrusted = createTrust(trusted);
  return (req) => {
    if (isTrusted(plain(req.socket.remoteAddress ?? ""))) {
      const claimed = String(req.headers["x-forwarded-proto"] ?? "")
        .split(",", 1)[0]
        ?.trim()
        .toLowerCase();
      if (claimed === "https" || claimed === "http") return claimed;
    }
    return req.socket instanceof TLSSocket ? "https" : "http";
  };
}

function createTrust(trusted: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const item of trusted) {
    const [address = "", prefix] = item.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (isIP(address) === 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix)))
      throw new RangeError(`not an address or block: ${item}`);
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

function plain(address: string): string {
  return address.startsWith("::ffff:") ? address.slice(7) : address;
}
