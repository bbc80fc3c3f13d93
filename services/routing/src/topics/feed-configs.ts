/**
 * Feeds as they were at a registry position: replay routes by the settings of its time, never today's. Compiled once per version of a
 * feed's record. Tests: feed-configs.test.ts.
 */
import { FeedRecord, type RegistryRecord } from "@headwater/protocol";
import { compileRouting, type FeedRouting } from "../domain/topic-config.ts";

/** The part of the registry view this needs. */
export interface FeedRegistry {
  getAt(aggregate: "feed", id: string, reg: number): RegistryRecord | undefined;
  position(): number;
}

export interface FeedConfigs {
  /** Undefined for a feed that does not exist at this position, or whose record this version cannot read. */
  of(feedId: string): FeedRouting | undefined;
}

const MAX_COMPILED = 4_096;

export function createFeedConfigs(registry: FeedRegistry): { at(reg: number): FeedConfigs } {
  // Keyed by the record object: the view keeps one object per version.
  let compiled = new Map<RegistryRecord, FeedRouting | undefined>();
  const routingAt = (feedId: string, reg: number): FeedRouting | undefined => {
    const record = registry.getAt("feed", feedId, reg);
    if (!record || record.data === null) return undefined;
    if (compiled.has(record)) return compiled.get(record);
    const feed = FeedRecord.safeParse(record.data);
    const routing = feed.success ? compileRouting(feed.data) : undefined;
    if (compiled.size >= MAX_COMPILED) compiled = new Map();
    compiled.set(record, routing);
    return routing;
  };
  return {
    at(reg) {
      // Asked for with every message: what was found at a position that the view has reached stays true.
      const found = new Map<string, FeedRouting>();
      return {
        of(feedId) {
          const known = found.get(feedId);
          if (known !== undefined) return known;
          const routing = routingAt(feedId, reg);
          if (routing !== undefined && reg <= registry.position()) found.set(feedId, routing);
          return routing;
        },
      };
    },
  };
}
