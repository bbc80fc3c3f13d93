/** Which events of a tap are shown. Pure. Tests: decode.test.ts. */
import type { TapEvent } from "./decode.ts";

/** Every given field must match; an event without that field does not. */
export interface TapFilter {
  tenantId?: string;
  class?: string;
  type?: string;
  visitorId?: string;
  feedId?: string;
  topic?: string;
  /** Prefix of the path. */
  page?: string;
}

export function matches(event: TapEvent, filter: TapFilter): boolean {
  // A broken message concerns whoever looks, unless they asked for something it cannot be.
  if (event.kind === "undecodable") return Object.keys(filter).length === 0;
  if (filter.tenantId !== undefined && event.tenantId !== filter.tenantId) return false;
  if (filter.class !== undefined && event.class !== filter.class) return false;
  if (filter.type !== undefined && event.type !== filter.type) return false;
  if (filter.visitorId !== undefined && event.visitorId !== filter.visitorId) return false;
  if (filter.feedId !== undefined && event.feedId !== filter.feedId) return false;
  if (filter.topic !== undefined && event.topic !== filter.topic) return false;
  return filter.page === undefined || (event.page?.startsWith(filter.page) ?? false);
}
