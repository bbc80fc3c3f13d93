/**
 * Streams: the owner creates or updates them and compares the answer with what was asked (an old server ignores unknown
 * settings in silence); everybody else binds and fails fast. Also state, single messages and purge.
 * Tests: streams.int.test.ts.
 */
import type { StreamSpec } from "@headwater/protocol";
import {
  DiscardPolicy,
  JetStreamApiError,
  jetstreamManager,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { connectionOf, type Nats } from "./connection.ts";

export class StreamMismatch extends Error {
  override readonly name = "StreamMismatch";
}
export class StreamMissing extends Error {
  override readonly name = "StreamMissing";
}

const STREAM_NOT_FOUND = 10059;
const NO_MESSAGE = 10037;

export type RawStreamConfig = Partial<StreamConfig> & { name: string };

/** Creates or updates the streams of their owner, one by one. @throws StreamMismatch when the server stored something else. */
export async function ensureStreams(nats: Nats, specs: readonly StreamSpec[], options: { replicas: number }): Promise<void> {
  for (const spec of specs) {
    await ensureStream(nats, {
      name: spec.name,
      subjects: spec.subjects,
      description: spec.description,
      retention: RetentionPolicy.Limits,
      storage: spec.inMemory ? StorageType.Memory : StorageType.File,
      num_replicas: options.replicas,
      max_age: nanos(spec.maxAgeMs),
      max_bytes: spec.maxBytes,
      max_msg_size: spec.maxMsgBytes,
      duplicate_window: nanos(spec.duplicateWindowMs),
      discard: spec.discard === "new" ? DiscardPolicy.New : DiscardPolicy.Old,
      allow_direct: true,
      ...(spec.hasMessageTtl ? { allow_msg_ttl: true } : {}),
      ...(spec.newestOnly ? { max_msgs_per_subject: 1 } : {}),
    });
  }
}

export async function ensureStream(nats: Nats, config: RawStreamConfig): Promise<void> {
  const jsm = await manager(nats);
  // Looked up first: creating a stream that is already there makes the server count its bytes a second time against `max_file`,
  // so a restart would be refused with "insufficient storage resources" long before the disk budget is used.
  let stored = await storedConfig(jsm, config.name);
  if (stored === undefined) {
    try {
      stored = (await jsm.streams.add(config)).config;
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) throw error;
      // Another instance was first, or still is: while its creation is under way the bytes are reserved and the stream is not yet there.
      stored = await appearing(jsm, config.name);
      if (stored === undefined) throw error;
    }
  }
  if (differences(config, stored).length > 0) {
    const { name, ...update } = config;
    stored = (await jsm.streams.update(name, update)).config;
  }
  const wrong = differences(config, stored);
  if (wrong.length > 0) throw new StreamMismatch(`stream ${config.name} is not what was asked: ${wrong.join("; ")}`);
}

/** The configuration of a stream that somebody else may be creating right now; undefined after half a second without it. */
async function appearing(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  for (let tries = 0; tries < 10; tries++) {
    const config = await storedConfig(jsm, name);
    if (config !== undefined) return config;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return undefined;
}

async function storedConfig(jsm: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await jsm.streams.info(name)).config;
  } catch (error) {
    if (isCode(error, STREAM_NOT_FOUND)) return undefined;
    throw error;
  }
}

/** Waits until every stream exists. @throws StreamMissing naming those that do not, after `withinMs` (default 30,000). */
export async function bindStreams(nats: Nats, names: readonly string[], options: { withinMs?: number } = {}): Promise<void> {
  const deadline = performance.now() + (options.withinMs ?? 30_000);
  let missing = [...names];
  for (let delayMs = 25; ; delayMs = Math.min(delayMs * 2, 500)) {
    const found = await Promise.all(missing.map((name) => streamState(nats, name).then(() => true, isAbsent)));
    missing = missing.filter((_, i) => found[i] !== true);
    if (missing.length === 0) return;
    if (performance.now() > deadline) {
      throw new StreamMissing(`streams do not exist: ${missing.join(", ")}; is the service that owns them running?`);
    }
    await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
}

function isAbsent(error: unknown): false {
  // Not there yet, or the broker is not ready yet: both pass. Anything else (permissions, closed) is final.
  if (error instanceof StreamMissing || (error instanceof Error && !/permission|clos|drain/i.test(`${error.name} ${error.message}`)))
    return false;
  throw error;
}

export interface StreamState {
  firstSeq: number;
  lastSeq: number;
  bytes: number;
  messages: number;
  /** Time of the first stored message, ms; 0 when empty. */
  firstTimeMs: number;
  maxBytes: number;
  maxAgeMs: number;
  /** When the stream was made, as the server says it: a lost and recreated stream has another one. */
  created: string;
}

/** @throws StreamMissing */
export async function streamState(nats: Nats, stream: string): Promise<StreamState> {
  const jsm = await manager(nats);
  try {
    const { state, config, created } = await jsm.streams.info(stream);
    return {
      firstSeq: state.first_seq,
      lastSeq: state.last_seq,
      bytes: state.bytes,
      messages: state.messages,
      firstTimeMs: state.messages > 0 ? Date.parse(state.first_ts) : 0,
      maxBytes: config.max_bytes,
      maxAgeMs: config.max_age / 1e6,
      created,
    };
  } catch (error) {
    throw isCode(error, STREAM_NOT_FOUND) ? new StreamMissing(`stream ${stream} does not exist`, { cause: error }) : error;
  }
}

export interface StoredMessage {
  seq: number;
  subject: string;
  data: Uint8Array;
  timeMs: number;
  header(name: string): string | undefined;
}

/** Last message of one subject, read from the stream's leader (never stale); undefined when there is none. */
export async function lastMessage(nats: Nats, stream: string, subject: string): Promise<StoredMessage | undefined> {
  return fetchMessage(nats, stream, { last_by_subj: subject });
}

/** The message with this sequence, undefined when it is gone or was never there. */
export async function getMessage(nats: Nats, stream: string, seq: number): Promise<StoredMessage | undefined> {
  return fetchMessage(nats, stream, { seq });
}

async function fetchMessage(
  nats: Nats,
  stream: string,
  query: { seq: number } | { last_by_subj: string },
): Promise<StoredMessage | undefined> {
  const jsm = await manager(nats);
  try {
    const msg = await jsm.streams.getMessage(stream, query);
    if (!msg) return undefined;
    return {
      seq: msg.seq,
      subject: msg.subject,
      data: msg.data,
      timeMs: msg.time.getTime(),
      header: (name) => msg.header.get(name) || undefined,
    };
  } catch (error) {
    if (isCode(error, NO_MESSAGE)) return undefined;
    throw isCode(error, STREAM_NOT_FOUND) ? new StreamMissing(`stream ${stream} does not exist`, { cause: error }) : error;
  }
}

/** Deletes messages with a sequence below `seq`. @returns how many went. */
export async function purgeStream(nats: Nats, stream: string, below: { seq: number }): Promise<number> {
  const jsm = await manager(nats);
  return (await jsm.streams.purge(stream, { seq: below.seq })).purged;
}

function manager(nats: Nats): Promise<JetStreamManager> {
  return jetstreamManager(connectionOf(nats), { checkAPI: false, timeout: 5_000 });
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}

function differences(asked: RawStreamConfig, stored: StreamConfig): string[] {
  const wrong: string[] = [];
  // The cast reads both records by name; values are compared as JSON, never used.
  const actual = stored as unknown as Record<string, unknown>;
  for (const [name, value] of Object.entries(asked)) {
    if (JSON.stringify(actual[name] ?? null) !== JSON.stringify(value ?? null)) {
      wrong.push(`${name} is ${JSON.stringify(actual[name])}, wanted ${JSON.stringify(value)}`);
    }
  }
  return wrong;
}
