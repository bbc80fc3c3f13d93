/** Requests between services that are not `svc.auth.verify`. */
import { z } from "zod";

/** `rpc.visits.<lane>.context`: snapshot of one visitor from the lane that folds it. */
export const ContextRequest = z.object({ tenantId: z.string(), visitorId: z.string(), sessionId: z.string().optional() });
export type ContextRequest = z.infer<typeof ContextRequest>;
/** `context` is the VisitorContext of docs/signals.md, or null when the visitor was never scored. */
export const ContextAnswer = z.object({ context: z.record(z.string(), z.unknown()).nullable() });
export type ContextAnswer = z.infer<typeof ContextAnswer>;
