/** abandonment: probability of leaving right now without finishing. First four weights published. Tests: ../vectors.test.ts. */
import { categoryAt } from "../page-categories.ts";
import type { SessionState } from "../visitor-state.ts";

/** Signal values 0–1 in `SCORE_SIGNALS.abandonment` order; zeros once bought. All but the first scale with the place in the funnel. */
export function abandonmentSignals(session: SessionState, engagement: number): number[] {
  if (session.bought) return [0, ...session.abandonment.map(() => 0)];
  const flow = flowFactor(session);
  return [1 - engagement / 100, ...session.abandonment.map((signal) => flow * signal)];
}

function flowFactor(session: SessionState): number {
  const page = categoryAt(session.category);
  if (page.isFlow || session.cartSignal >= 1) return 1;
  return page.name === "pricing" || page.name === "product" ? 0.6 : 0.35;
}
