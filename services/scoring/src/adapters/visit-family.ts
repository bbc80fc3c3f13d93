/**
 * The lane family `visits`: how visitor events become labels. Glue between the pure model in `domain/` and the lane engine:
 * state per visitor, opt-outs, frame lines. Tests: visit-family.test.ts.
 */
import { type ErasureRecord, laneOf, subjects, type VisitEvent, type VisitInput, visitorKey } from "@headwater/protocol";
import type { FoldContext, LaneFamily } from "@headwater/lanes";
import { type Catalog, foldVisit, newVisitorState, type VisitorState } from "../domain/index.ts";
import type { SiteConfigs } from "./site-configs.ts";
import { decodeVisitInputs } from "./visit-inputs.ts";

/** What a lane remembers about a visitor: their state, or only that they opted out. */
export interface LaneVisitor {
  visitor?: VisitorState;
  /** Time of the opt-out, ms; events that raced it are not labeled. */
  optedOutAt?: number;
}

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
    outputStream: "SIGNALS",
    service: "scoring",
    schema: STATE_SCHEMA,
    decode: decodeVisitInputs,
    keysOf: (input) => [visitorKey(input.tenantId, input.visitorId)],
    newState: () => ({}),
    fold: (context, input) => foldInput(options, context, input),
    // The engine turns the value into text at once, so handing out the state itself keeps no reference.
    serialize: (state) => state,
    // Written by serialize of the same schema version; the engine checks version and checksum before it gets here.
    deserialize: (json) => json as LaneVisitor,
    sizeOf: estimateBytes,
  };
}

function foldInput(options: VisitFamilyOptions, context: FoldContext<LaneVisitor, SiteConfigs>, input: VisitInput): void {
  const key = visitorKey(input.tenantId, input.visitorId);
  if (input.kind === "visit") return foldEvent(options, context, context.state(key), input);
  if (input.kind === "optin") context.delete(key);
  else {
    const known = context.state(key);
    delete known.visitor;
    known.optedOutAt = input.ts;
  }
  const record: ErasureRecord = { v: 1, kind: input.kind, key: options.erasureKey(input.tenantId, input.visitorId), ts: input.ts };
  const subject = subjects.lane("erasures", laneOf(key));
  return context.sideEffect({ subject, msgId: `erasure-${input.id}`, payload: JSON.stringify(record) });
}

function foldEvent(
  options: VisitFamilyOptions,
  context: FoldContext<LaneVisitor, SiteConfigs>,
  known: LaneVisitor,
  event: VisitEvent,
): void {
  // Accepted by a collector that had not heard of the opt-out yet.
  if (known.optedOutAt !== undefined) return options.onFolded?.("opted_out");
  known.visitor ??= newVisitorState();
  const result = foldVisit(known.visitor, event, context.config.of(event.siteId), options.catalog);
  if (result === "duplicate" || result === "absorbed") return options.onFolded?.(result);
  context.emit(event.tenantId, result.wire, result.ext);
  return options.onFolded?.("labeled");
}

/** Cheap and proportional: the lists that grow, times what one entry costs in memory. */
function estimateBytes(known: LaneVisitor): number {
  const state = known.visitor;
  if (state === undefined) return 96;
  let bytes = 512 + state.closed.length * 160;
  for (const hour of state.seen) bytes += 64 + hour.ids.length;
  for (const session of state.live) {
    bytes += 1_200 + 8 * (session.gaps.length + session.views.length + session.scrolled.length + session.convViews.length);
  }
  return bytes;
}
