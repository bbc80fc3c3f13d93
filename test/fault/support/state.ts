/**
 * Invariant I4 asked of the running system: the owner of each lane compares its live state with a fold of the lane's whole log from zero.
 * The only part of the harness that uses the product's own client.
 */
import { callLane, openNats } from "@headwater/messaging";
import { LANE_COUNT } from "@headwater/protocol";
import { quietLogger } from "@headwater/testkit";
import type { Product } from "../../support/product.ts";

interface VerifyAnswer {
  live: { in: number; hash: string; keys: number };
  folded: { in: number; hash: string; keys: number; events: number; isComplete: boolean };
  isEqual: boolean;
}

export interface StateVerdict {
  lanes: number;
  events: number;
  keys: number;
  /** Lanes whose state is not a fold of their log, or whose log no longer starts at the beginning. */
  broken: string[];
}

export async function compareWithRefold(product: Product, family: "visits" | "feeds" = "visits"): Promise<StateVerdict> {
  const { natsUrl, natsUsers } = product.run;
  const nats = await openNats({ url: natsUrl, ...natsUsers.admin, name: "fault-test", log: quietLogger() });
  try {
    const verdict: StateVerdict = { lanes: LANE_COUNT, events: 0, keys: 0, broken: [] };
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      // Answered by the "verify" verb of services/scoring and of services/routing.
      const answer = (await callLane(nats, family, lane, "verify", {}, { deadlineMs: 60_000 })) as VerifyAnswer;
      verdict.events += answer.folded.events;
      verdict.keys += answer.folded.keys;
      if (!answer.isEqual || !answer.folded.isComplete) verdict.broken.push(`lane ${lane}: ${JSON.stringify(answer)}`);
    }
    return verdict;
  } finally {
    await nats.drain();
  }
}
