/**
 * Which proxies a request came through. Forwarding headers are believed only as far as a configured proxy wrote them.
 * Pure. Tests: tables.test.ts.
 */
import { type AddressRange, inRanges, isLoopback } from "./address.ts";

export interface ProxyTrust {
  /** `X-Forwarded-*` of these is believed. */
  proxies: readonly AddressRange[];
  /** `X-Edge-*` is believed when one of these is among the trusted hops. */
  edges: readonly AddressRange[];
}

export interface Hops {
  /** The peer is a configured proxy: its `X-Forwarded-Proto` and `X-Forwarded-Host` count. */
  isForwarded: boolean;
  /** A configured edge is among the hops: `X-Edge-*` counts. */
  isFromEdge: boolean;
}

const DIRECT: Hops = { isForwarded: false, isFromEdge: false };
const MAX_HOPS = 16;

export function hopsOf(peer: string | undefined, forwardedFor: string | undefined, trust: ProxyTrust): Hops {
  if (trust.proxies.length === 0 || !inRanges(peer, trust.proxies)) return DIRECT;
  const claimed = (forwardedFor ?? "").split(",", 64).map((part) => part.trim());
  const hops = [peer];
  // From the right: each trusted hop vouches for the one before it.
  for (let i = claimed.length - 1; i >= 0 && hops.length < MAX_HOPS && inRanges(claimed[i], trust.proxies); i--) hops.push(claimed[i]);
  return { isForwarded: true, isFromEdge: hops.some((hop) => inRanges(hop, trust.edges)) };
}

/**
 * Ranges whose `X-Edge-*` headers count: those named for it, and every proxy that is not on this machine. A local one is usually a plain
 * front (ours in per-service mode) that passes on whatever a client sent, so it has to be named.
 */
export function edgeRanges(proxies: readonly AddressRange[], named: readonly AddressRange[]): AddressRange[] {
  return [...named, ...proxies.filter((range) => !isLoopback(range))];
}
