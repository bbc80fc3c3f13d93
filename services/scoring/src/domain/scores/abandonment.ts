/** abandonment: probability of leaving right now without finishing. First four weights published. Tests: ../vectors.test.ts. */
import { categoryAt } from "../page-categories.ts";
import type { SessionState } from "../visitor-state.ts";

/** Signal values 0–1 in `SCORE_SIGNALS.abandonment` order; zeros once bought. All but the first scale with the place in the funnel. */
export function abandonmentSignals(session: SessionState, engagement: number): number[] {
  const flow = session.bought ? 0 : flowFactor(session);
  const signals = [session.bought ? 0 : 1 - engagement / 100];
  for (const signal of session.abandonment) signals.push(flow * signal);
  return signals;
}

function flowFactor(session: SessionState): number {
  const page = categoryAt(session.category);
  if (page.isFlow || session.cartSignal >= 1) return 1;
  return page.name === "pricing" || page.name === "product" ? 0.6 : 0.35;
}
