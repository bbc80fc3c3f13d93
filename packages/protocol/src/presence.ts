/** What the sockets of one edge listen to, on core NATS `presence.<edgeId>`: on change and every `PRESENCE_INTERVAL_MS`, forgotten after `PRESENCE_TTL_MS`. */
import { z } from "zod";

export const PRESENCE_INTERVAL_MS = 2_000;
export const PRESENCE_TTL_MS = 6_000;
/** A digest with more routing keys is told in several parts of one round. */
export const PRESENCE_KEYS_PER_PART = 2_000;

export const PresenceDigest = z.object({
  v: z.literal(1),
  edgeId: z.string(),
  /** New for every start of the edge process. */
  boot: z.string(),
  /** Counts the rounds of this process; a reader takes a round when it has all its parts. */
  round: z.number().int().nonnegative(),
  part: z.number().int().nonnegative(),
  parts: z.number().int().positive(),
  at: z.number().int(),
  /** Per surface: open sockets, and sockets per routing key (`feedKeys` for feeds, tenant id for signals). */
  surfaces: z.record(z.string(), z.object({ sockets: z.number().int(), keys: z.record(z.string(), z.number().int()) })),
});
export type PresenceDigest = z.infer<typeof PresenceDigest>;
