/**
 * What a fold costs: mixed events of 5,000 visitors through the model alone, frame text and `ext` included.
 *   node test/acceptance/scoring/fold-cost.ts [events]
 * Prints one JSON line per round; the first warms up. CPU time, so that a busy machine shows the same. Targets: 12 µs per event, 2 KB of state for a typical visitor.
 */
import type { VisitEvent } from "@headwater/protocol";
import { compileSiteScoring, foldVisit, newVisitorState, openCatalog, type VisitorState } from "@headwater/scoring/model";

const VISITORS = 5_000;
const ROUNDS = 3;
const PATHS = ["/", "/products/a", "/products/b", "/pricing", "/blog/x", "/blog/y", "/help", "/cart"] as const;
const NAMES = ["search", "js_error", "add_to_cart", "video"] as const;
const TYPES = ["pageview", "pageview", "click", "click", "scroll", "scroll", "scroll", "custom", "form"] as const;

const events = makeEvents(Number(process.argv[2] ?? 200_000));
const catalog = openCatalog();
const site = compileSiteScoring(undefined);
for (let round = 1; round <= ROUNDS; round++) {
  const states = new Map<string, VisitorState>();
  let wireBytes = 0;
  const before = process.cpuUsage();
  for (const event of events) {
    let state = states.get(event.visitorId);
    if (state === undefined) {
      state = newVisitorState();
      states.set(event.visitorId, state);
    }
    const labeled = foldVisit(state, event, site, catalog);
    if (typeof labeled !== "string") wireBytes += labeled.wire.length;
  }
  const spent = process.cpuUsage(before);
  const microsPerEvent = (spent.user + spent.system) / events.length;
  const sizes = [...states.values()].map((state) => JSON.stringify(state).length);
  process.stdout.write(
    `${JSON.stringify({
      round,
      microsPerEvent: Math.round(microsPerEvent * 100) / 100,
      wireBytesPerEvent: Math.round(wireBytes / events.length),
      stateBytesMean: Math.round(sizes.reduce((total, size) => total + size, 0) / sizes.length),
      stateBytesMax: Math.max(...sizes),
    })}\n`,
  );
}

function makeEvents(count: number): VisitEvent[] {
  const random = linearCongruence(1);
  const pick = <T>(from: readonly [T, ...T[]]): T => from[Math.floor(random() * from.length)] ?? from[0];
  return Array.from({ length: count }, (_, i) => {
    const visitor = Math.floor(random() * VISITORS);
    const at = Date.UTC(2026, 0, 1) + i * 15;
    return {
      v: 1,
      kind: "visit",
      tenantId: "bench",
      siteId: "main",
      keyType: "browser",
      origin: "sdk",
      id: `evt_${i}`,
      eid: `client-${i.toString(36)}-0123456789`,
      type: pick(TYPES),
      visitorId: `vis_${visitor}`,
      sessionId: `sess_${visitor}`,
      scored: true,
      ts: at,
      et: at,
      path: pick(PATHS),
      referrer: "https://www.google.com/",
      device: {
        userAgent: `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${100 + (visitor % 200)}.0.0.0 Safari/537.36`,
        language: "en-US",
        timezone: "Europe/Berlin",
      },
      element: { selector: `#e${i % 7}`, text: "Buy", tagName: "BUTTON", x: random() * 800, y: random() * 600 },
      depth: Math.floor(random() * 100),
      name: pick(NAMES),
      form: { action: "blur", fieldCount: 5, filledCount: 2 },
    };
  });
}

/** Seeded, so that two runs fold the same events. */
function linearCongruence(seed: number): () => number {
  let value = seed;
  return () => {
    value = (Math.imul(value, 1_103_515_245) + 12_345) & 0x7fffffff;
    return value / 0x80000000;
  };
}
