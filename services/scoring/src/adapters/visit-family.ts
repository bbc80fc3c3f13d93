/**
 * The lane family `visits`: how visitor events become labels. Glue between the pure model in `domain/` and the lane engine:
 * state per visitor, opt-outs, frame lines. Tests: visit-family.test.ts.
 */
import { type ErasureRecord, subjects, type VisitEvent, type VisitInput, visitorKey } from "@headwater/protocol";
import type { FoldContext, LaneFamily } from "@headwater/lanes";
import { type Catalog, foldVisit, newVisitorState, type VisitorState } from "../domain/index.ts";
import type { SiteConfigs } from "./site-configs.ts";
import { decodeVisitInputs } from "./visit-inputs.ts";

/** What a lane remembers about a visitor: their state, or only that they opted out. */
export type LaneVisitor = { kind: "visitor"; state: VisitorState } | { kind: "opted_out"; ts: number } | { kind: "none" };

export const VISITS_GENERATION = "g1";
/** Raise when the shape of LaneVisitor or VisitorState changes; old snapshots are then refused and the log is folded again. */
const STATE_SCHEMA = 1;

export interface VisitFamilyOptions {
  catalog: Catalog;
  /** Keyed hash of a visitor for the erasure log. */
  erasureKey(tenantId: string, visitorId: string): string;
  /** Counts only; called during replay as well. */
  onFolded?(outcome: "labeled" | "absorbed" | "duplicate" | "opted_out"): void;
}

export function visitFamily(options: VisitFamilyOptions): LaneFamily<VisitInput, LaneVisitor, SiteConfigs> {
  return {
    family: "visits",
    gen: VISITS_GENERATION,
    input: "visits",
    output: "signals",
    schema: STATE_SCHEMA,
    decode: decodeVisitInputs,
    keysOf: (input) => [visitorKey(input.tenantId, input.visitorId)],
    newState: () => ({ kind: "none" }),
    fold: (context, input) => foldInput(options, context, input),
    serialize: (state) => state,
    // Written by serialize of the same schema version; the engine checks version and checksum before it gets here.
    deserialize: (json) => json as LaneVisitor,
    sizeOf: estimateBytes,
  };
}

function foldInput(options: VisitFamilyOptions, context: FoldContext<LaneVisitor, SiteConfigs>, input: VisitInput): void {
  const key = visitorKey(input.tenantId, input.visitorId);
  const visitor = context.state(key);
  if (input.kind === "visit") return foldEvent(options, context, key, visitor, input);
  const record: ErasureRecord = { v: 1, kind: input.kind, key: options.erasureKey(input.tenantId, input.visitorId), ts: input.ts };
  if (input.kind === "optin") context.delete(key);
  else context.set(key, { kind: "opted_out", ts: input.ts });
  context.sideEffect({ subject: subjects.lane("erasures", context.lane), msgId: `erasure-${input.id}`, data: JSON.stringify(record) });
}

function foldEvent(options: VisitFamilyOptions, context: FoldContext<LaneVisitor, SiteConfigs>, key: string, visitor: LaneVisitor, event: VisitEvent): void {
  // Accepted by a collector that had not heard of the opt-out yet.
  if (visitor.kind === "opted_out") return options.onFolded?.("opted_out");
  const state = visitor.kind === "visitor" ? visitor.state : newVisitorState();
  const labeled = foldVisit(state, event, context.config.of(event.siteId), options.catalog);
  if (labeled === "duplicate") return options.onFolded?.("duplicate");
  context.set(key, { kind: "visitor", state });
  if (labeled === "absorbed") return options.onFolded?.("absorbed");
  context.emit(event.tenantId, labeled.wire, labeled.ext);
  return options.onFolded?.("labeled");
}

/** Cheap and proportional: the lists that grow, times what one entry costs in memory. */
function estimateBytes(visitor: LaneVisitor): number {
  if (visitor.kind !== "visitor") return 96;
  const { state } = visitor;
  let bytes = 512 + state.closed.length * 160;
  for (const hour of state.seen) bytes += 64 + hour.ids.length;
  for (const session of state.live) {
    bytes += 1_200 + 8 * (session.gaps.length + session.views.length + session.scrolled.length + session.convViews.length);
  }
  return bytes;
}
