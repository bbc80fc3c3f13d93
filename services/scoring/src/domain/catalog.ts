/**
 * What a user agent says: device label and registry hit, worked out once per distinct string and kept in a bounded cache.
 * The parser and the generic detector are libraries; they come in as functions (adapters/catalog.ts). Tests: catalog.test.ts.
 */
import type { DeviceLabel, VisitDevice } from "@headwater/protocol";
import { type BotMatcher, createBotMatcher, type RegistryData, type RegistryHit } from "./bot-registry.ts";
import { type BoundedCache, createBoundedCache } from "./bounded-cache.ts";
import { deviceOf, nativeDeviceOf, type ParsedAgent, padOf } from "./device.ts";

export interface AgentProfile {
  readonly device: DeviceLabel;
  /** JSON text of `device`. */
  readonly deviceText: string;
  readonly hit: RegistryHit | null;
}

export interface Catalog {
  /** Version of the registry data. */
  readonly version: string;
  agentOf(device: VisitDevice): AgentProfile;
}

export interface CatalogOptions {
  readonly registry: RegistryData;
  /** Library parser of user agents; only asked for what our own rules leave open. */
  readonly parse: (userAgent: string) => ParsedAgent;
  /** Library detector: does this string look like any bot? */
  readonly looksLikeBot: (userAgent: string) => boolean;
  /** Distinct user agents kept, about 0.5 KB each. */
  readonly maxEntries?: number;
}

/** Longest agent looked at, UTF-16 units; the collector truncates to 512 already. */
const MAX_AGENT_LENGTH = 512;

interface Entry {
  readonly web: AgentProfile;
  /** Profile when the client has a touch screen; differs from `web` only for iPads that call themselves Macintosh. */
  readonly touch: AgentProfile;
}

export function createCatalog(options: CatalogOptions): Catalog {
  const matcher = createBotMatcher(options.registry, options.looksLikeBot);
  const entries: BoundedCache<Entry> = createBoundedCache(options.maxEntries ?? 20_000);
  return {
    version: options.registry.version,
    agentOf(device) {
      const userAgent = device.userAgent;
      let entry = entries.get(userAgent);
      if (entry === undefined) {
        entry = entryOf(userAgent, matcher, options.parse);
        entries.set(userAgent, entry);
      }
      if (device.clientPlatform !== undefined && device.clientPlatform !== "edge") {
        return profileOf(nativeDeviceOf(device, device.clientPlatform), entry.web.hit);
      }
      return (device.maxTouchPoints ?? 0) > 1 ? entry.touch : entry.web;
    },
  };
}

function entryOf(userAgent: string, matcher: BotMatcher, parse: (userAgent: string) => ParsedAgent): Entry {
  const text = userAgent.slice(0, MAX_AGENT_LENGTH);
  const hit = matcher.match(text);
  const label = deviceOf(text, parse);
  const web = profileOf(label, hit);
  const pad = padOf(text, label);
  return { web, touch: pad === undefined ? web : profileOf(pad, hit) };
}

function profileOf(device: DeviceLabel, hit: RegistryHit | null): AgentProfile {
  return { device, deviceText: JSON.stringify(device), hit };
}
