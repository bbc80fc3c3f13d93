/**
 * What routing asks ingest about upstreams. `rpc.upstreams.<lane>.push` goes to the one instance that writes that feed's lane;
 * `svc.ingest.check-url` and `svc.ingest.test-feed` to any.
 */
import { z } from "zod";
import { CONNECTION_TYPES, DATA_FORMATS, FeedSecrets } from "./feed-record.ts";

/** `json`: source text of the value. Answered after it is stored. */
export const PushRequest = z.object({ feedId: z.string(), json: z.string(), eventName: z.string().optional() });
export type PushRequest = z.infer<typeof PushRequest>;
export const PushAnswer = z.object({ ts: z.number().int() });
export type PushAnswer = z.infer<typeof PushAnswer>;

export const CheckUrlRequest = z.object({ url: z.string().max(4_096), connectionType: z.enum(CONNECTION_TYPES) });
export type CheckUrlRequest = z.infer<typeof CheckUrlRequest>;
/** `invalid`: not a URL of the right scheme. `forbidden`: names or resolves to an address that is not public. An unresolvable host is no error here. */
export const CheckUrlAnswer = z.object({ verdict: z.enum(["ok", "invalid", "forbidden"]) });
export type CheckUrlAnswer = z.infer<typeof CheckUrlAnswer>;

export const TestFeedRequest = z.object({
  url: z.string(),
  connectionType: z.enum(CONNECTION_TYPES),
  connectionMessages: z.array(z.string()),
  eventName: z.string(),
  dataFormat: z.enum(DATA_FORMATS),
  protobufType: z.string().optional(),
  protobufSchema: z.string().optional(),
  secrets: FeedSecrets,
});
export type TestFeedRequest = z.infer<typeof TestFeedRequest>;
/** `sample`: first message as JSON source text (a text message as a JSON string); absent when none came within 10 s. */
export const TestFeedAnswer = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), sample: z.string().optional(), latencyMs: z.number().optional() }),
  z.object({ ok: z.literal(false), message: z.string() }),
]);
export type TestFeedAnswer = z.infer<typeof TestFeedAnswer>;
