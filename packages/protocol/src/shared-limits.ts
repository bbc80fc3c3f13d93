/**
 * Limits that all instances share (requests per client, sockets per tenant). The owner of a limit lane in auth holds the account;
 * instances take small leases from it: `rpc.limits.<lane>.grant`, lane by the limit's key. Shapes only.
 */
import { z } from "zod";

/** Tokens of one bucket: `rate` a second up to `burst`. */
export const GrantRequest = z.object({
  grants: z
    .array(
      z.object({
        /** `http:login:203.0.113.9`, … No secrets: it is seen in taps. */
        key: z.string().max(200),
        rate: z.number().positive(),
        burst: z.number().positive(),
        /** Tokens wanted now. */
        want: z.number().positive(),
      }),
    )
    .max(256),
});
export type GrantRequest = z.infer<typeof GrantRequest>;
/** In the order asked. `granted` may be 0; `retryAfterMs` says when one token will be there. */
export const GrantAnswer = z.object({ grants: z.array(z.object({ granted: z.number(), retryAfterMs: z.number() })) });
export type GrantAnswer = z.infer<typeof GrantAnswer>;

export const HOLD_REPEAT_MS = 1_000;
export const HOLD_TTL_MS = 5_000;

/**
 * Slots held at the same time (`rpc.limits.<lane>.hold`): an instance repeats what it holds every `HOLD_REPEAT_MS`, and is forgotten after
 * `HOLD_TTL_MS`. An owner that has the lane for less than one repetition refuses wishes for more (`not_owner`): it does not know yet what is held.
 */
export const HoldRequest = z.object({
  instanceId: z.string(),
  holds: z
    .array(
      z.object({
        key: z.string().max(200),
        limit: z.number().int().nonnegative(),
        held: z.number().int().nonnegative(),
        /** Slots wanted beside `held`. */
        want: z.number().int().nonnegative(),
      }),
    )
    .max(1_024),
});
export type HoldRequest = z.infer<typeof HoldRequest>;
/** Per hold, in the order asked: slots of all other instances, and how many of the wanted ones the asker has now. */
export const HoldAnswer = z.object({ holds: z.array(z.object({ others: z.number().int(), granted: z.number().int() })) });
export type HoldAnswer = z.infer<typeof HoldAnswer>;
