/**
 * What the owner of a feed's lane can be asked by other instances (`rpc.analyses.<lane>.*`), and the way there: straight to our own contexts
 * when the lane is ours. Callers check who may ask. Tests: lane-contexts.int.test.ts.
 */
import { callLane, type Nats, notOwner, RpcError, type RpcHandler, RpcUnavailable } from "@headwater/messaging";
import { AnalysisExt, laneOf } from "@headwater/protocol";
import { z } from "zod";
import { CLEAR_RUN, clearedWire, noteKey } from "../domain/analysis-frame.ts";
import type { MemoryEntry } from "../domain/memory.ts";
import { Refusal } from "../domain/refusal.ts";
import type { AnalysisOutput, AnalysisWriter, Window } from "../ports.ts";
import type { LaneContexts } from "./lane-contexts.ts";

const Conversation = z.object({ feedId: z.string(), topic: z.string().optional(), userId: z.string() });
export type Conversation = z.infer<typeof Conversation>;

const Entry = z.object({ at: z.number(), question: z.string(), answer: z.string() });
const ContextAnswer = z.object({
  window: z
    .object({
      entries: z.array(z.object({ ts: z.number(), seq: z.number(), json: z.string(), topic: z.string().optional() })),
      oldestSeq: z.number(),
      newestSeq: z.number(),
    })
    .nullable(),
  memory: z.array(Entry),
});
const RememberRequest = Conversation.extend({ entry: Entry });
const ClearRequest = z.object({ feedId: z.string(), topic: z.string().optional(), callId: z.string() });
const Output = z.object({ key: z.string(), wire: z.string(), ext: AnalysisExt.omit({ k: true }) });
const BroadcastRequest = z.object({ feedId: z.string(), outputs: z.array(Output) });

export interface KnownContext {
  window: Window | undefined;
  /** Earlier answers of this conversation, newest first. */
  memory: MemoryEntry[];
}

/** Contexts wherever they are. @throws Refusal 503 when no owner answers. */
export interface Contexts {
  read(conversation: Conversation): Promise<KnownContext>;
  remember(conversation: Conversation, entry: MemoryEntry): Promise<void>;
  /** `callId` names the note in the log. */
  clear(feedId: string, topic: string | undefined, callId: string): Promise<void>;
  /** Puts frames into the log for the feed's listeners. */
  broadcast(feedId: string, outputs: readonly AnalysisOutput[]): Promise<void>;
}

/** Characters of one window: the answer has to fit a message of the broker, escaped. The oldest entries are left out. */
const MAX_WINDOW_CHARS = 2 * 1024 * 1024;
/** A lane that was just acquired is still being read. */
const DEADLINE_MS = 10_000;
const ATTEMPT_MS = 3_000;

interface OwnParts {
  contexts: LaneContexts;
  writer: AnalysisWriter;
  now(): number;
}

/** Only for feeds of lanes that are ours. @throws RpcError `not_owner` */
function ownContexts({ contexts, writer, now }: OwnParts): Contexts {
  const check = (feedId: string): void => {
    if (!contexts.owns(feedId)) throw notOwner();
  };
  return {
    async read({ feedId, topic, userId }) {
      check(feedId);
      return { window: bounded(contexts.window(feedId, topic)), memory: contexts.manualMemory.recall({ feedId, topic, userId }) };
    },
    async remember({ feedId, topic, userId }, entry) {
      check(feedId);
      contexts.manualMemory.remember({ feedId, topic, userId }, entry);
    },
    async clear(feedId, topic, callId) {
      check(feedId);
      const upToSeq = contexts.clear(feedId, topic);
      const ext = {
        ts: now(),
        run: `${CLEAR_RUN}${callId}`,
        model: "",
        promptVersion: 0,
        tokens: 0,
        window: [0, upToSeq] as [number, number],
      };
      await writer.write(feedId, [{ key: noteKey(feedId), wire: clearedWire(feedId, topic), ext }]);
    },
    async broadcast(feedId, outputs) {
      check(feedId);
      await writer.write(feedId, outputs);
    },
  };
}

function bounded(window: Window | undefined): Window | undefined {
  if (window === undefined) return undefined;
  let chars = 0;
  const fitting = window.entries.findIndex((entry, at) => (chars += entry.json.length) > MAX_WINDOW_CHARS && at > 0);
  if (fitting === -1) return window;
  const entries = window.entries.slice(0, fitting);
  return { ...window, entries, oldestSeq: entries.at(-1)?.seq ?? window.oldestSeq };
}

export function laneHandlers(parts: OwnParts): Record<string, RpcHandler> {
  const own = ownContexts(parts);
  return {
    async context(payload) {
      const { window, memory } = await own.read(parse(Conversation, payload));
      return { window: window ?? null, memory };
    },
    async memory(payload) {
      const { entry, ...conversation } = parse(RememberRequest, payload);
      await own.remember(conversation, entry);
    },
    async clear(payload) {
      const { feedId, topic, callId } = parse(ClearRequest, payload);
      await own.clear(feedId, topic, callId);
    },
    async broadcast(payload) {
      const { feedId, outputs } = parse(BroadcastRequest, payload);
      await own.broadcast(feedId, outputs);
    },
  };
}

function parse<S extends z.ZodType>(schema: S, payload: unknown): z.infer<S> {
  const parsed = schema.safeParse(payload);
  if (!parsed.success) throw new RpcError("invalid_request", "not a request of this verb", 400);
  return parsed.data;
}

export function createContexts(nats: Nats, parts: OwnParts & { laneCount: number }): Contexts {
  const own = ownContexts(parts);
  const ask = async (feedId: string, verb: string, payload: unknown, attemptMs?: number): Promise<unknown> => {
    try {
      const options = { deadlineMs: DEADLINE_MS, ...(attemptMs === undefined ? {} : { attemptMs }) };
      return await callLane(nats, "analyses", laneOf(feedId, parts.laneCount), verb, payload, options);
    } catch (error) {
      if (error instanceof RpcUnavailable) throw new Refusal("SERVICE_UNAVAILABLE", { retryAfterMs: 1_000, cause: error });
      throw error;
    }
  };
  const isOurs = (feedId: string): boolean => parts.contexts.owns(feedId);
  return {
    async read(conversation) {
      if (isOurs(conversation.feedId)) return await own.read(conversation);
      const answer = ContextAnswer.parse(await ask(conversation.feedId, "context", conversation, ATTEMPT_MS));
      return { window: answer.window ?? undefined, memory: answer.memory };
    },
    async remember(conversation, entry) {
      if (isOurs(conversation.feedId)) return await own.remember(conversation, entry);
      await ask(conversation.feedId, "memory", { ...conversation, entry });
    },
    async clear(feedId, topic, callId) {
      if (isOurs(feedId)) return await own.clear(feedId, topic, callId);
      await ask(feedId, "clear", { feedId, topic, callId });
    },
    async broadcast(feedId, outputs) {
      if (isOurs(feedId)) return await own.broadcast(feedId, outputs);
      await ask(feedId, "broadcast", { feedId, outputs });
    },
  };
}
