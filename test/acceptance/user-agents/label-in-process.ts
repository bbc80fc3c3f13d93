/** Labels rows with the scoring model itself: no broker, no collector. */
import { LabeledEvent, type VisitEvent } from "@headwater/protocol";
import { compileSiteScoring, foldVisit, newVisitorState, openCatalog } from "@headwater/scoring/model";
import type { LabeledRow, Row } from "./report.ts";

/** Any fixed time: a first pageview's labels do not depend on it. */
const AT = Date.UTC(2026, 0, 1);

export function labelInProcess(rows: readonly Row[]): LabeledRow[] {
  const catalog = openCatalog();
  const site = compileSiteScoring(undefined);
  return rows.map((row, i) => {
    const labeled = foldVisit(newVisitorState(), pageview(row, i), site, catalog);
    if (typeof labeled === "string") throw new Error(`row ${i} was ${labeled}`);
    return { row, frame: LabeledEvent.parse(JSON.parse(labeled.wire)) };
  });
}

function pageview(row: Row, i: number): VisitEvent {
  return {
    v: 1,
    kind: "visit",
    tenantId: "acceptance",
    siteId: "main",
    keyType: "browser",
    origin: "sdk",
    id: `evt_${i}`,
    type: "pageview",
    visitorId: `vis_${i}`,
    sessionId: `sess_${i}`,
    scored: true,
    ts: AT,
    et: AT,
    path: "/",
    device: { userAgent: row.ua },
  };
}
