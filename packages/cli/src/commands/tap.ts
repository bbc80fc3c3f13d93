/**
 * `headwater tap`: looks at stored events through the read-only NATS user. Readers are ephemeral; nothing durable is ever made.
 * Events of one lane come in log order; lanes are shown as they arrive. Tests: system.int.test.ts.
 */
import { BEHAVIORAL_CLASSES, FeedRecord, FEED_STATUSES, TenantRecord, VISIT_TYPES } from "@headwater/protocol";
import { type Nats, openReader, openRegistry, type Reader, type ReadFrom, StreamMissing, streamState } from "@headwater/messaging";
import { createLogger } from "@headwater/runtime";
import { countOf, durationMs, oneOf, parse, type Parsed } from "../arguments.ts";
import { connectNats, findTarget } from "../system/target.ts";
import { decodeStored } from "../tap/decode.ts";
import { matches, type TapFilter } from "../tap/filter.ts";
import { eventJson, eventLine } from "../tap/format.ts";
import { sourcesOf, type TapSource } from "../tap/what.ts";
import { CommandFailed, type Terminal, UsageError } from "../terminal.ts";

const DEFAULT_SINCE_MS = 60_000;
const FEED_TYPES = [
  "json",
  "text",
  ...FEED_STATUSES,
  "feed-data",
  "topic-data",
  "feed-status",
  "llm-intelligence",
  "llm-broadcast",
  "llm-error",
];

export async function tapCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const args = parse(
    argv,
    {
      since: { type: "string" },
      follow: { type: "boolean" },
      limit: { type: "string" },
      tenant: { type: "string" },
      class: { type: "string" },
      type: { type: "string" },
      visitor: { type: "string" },
      page: { type: "string" },
      feed: { type: "string" },
      topic: { type: "string" },
    },
    { min: 1, max: 1 },
  );
  const sources = sourcesOf(args.positionals[0] ?? "");
  const from = startOf(args, Date.now());
  const limit = args.text("limit") === undefined ? Number.POSITIVE_INFINITY : countOf(args.required("limit"), "limit");
  const filter = filterOf(args);
  const nats = await connectNats(findTarget(args.port, terminal), "tap");
  try {
    const tenants = await openTenants(nats);
    try {
      const tenant = args.text("tenant");
      if (tenant !== undefined) filter.tenantId = tenants.idOf(tenant);
      const render = args.json ? eventJson : eventLine;
      let shown = 0;
      const show = async (stored: Parameters<typeof decodeStored>[0]): Promise<boolean> => {
        for (const decoded of decodeStored(stored)) {
          const owner = decoded.feedId === undefined ? undefined : tenants.ownerOf(decoded.feedId);
          const event = owner === undefined ? decoded : { ...decoded, tenantId: owner };
          if (shown >= limit) break;
          if (!matches(event, filter)) continue;
          shown++;
          await terminal.out(render(event, tenants.nameOf));
        }
        return shown >= limit;
      };
      await read(nats, sources, { from, follow: args.flag("follow"), show, onGap: (text) => terminal.err(text), stop: terminal.stop });
      return 0;
    } finally {
      await tenants.stop();
    }
  } finally {
    await nats.drain();
  }
}

interface ReadOptions {
  from: ReadFrom;
  follow: boolean;
  /** True: enough was shown. */
  show(stored: Parameters<typeof decodeStored>[0]): Promise<boolean>;
  onGap(text: string): void;
  stop: AbortSignal;
}

async function read(nats: Nats, sources: readonly TapSource[], options: ReadOptions): Promise<void> {
  const done = Promise.withResolvers<void>();
  const end = (): void => done.resolve();
  options.stop.addEventListener("abort", end, { once: true });
  // One line is written at a time, however many lanes are read.
  let turn: Promise<unknown> = Promise.resolve();
  const readers: Reader[] = [];
  try {
    for (const source of sources) await exists(nats, source.stream);
    for (const source of sources) {
      readers.push(
        openReader(nats, {
          stream: source.stream,
          ...(source.subject === undefined ? {} : { subject: source.subject }),
          from: options.from,
          maxBytesInFlight: 4 * 1024 * 1024,
          onGap: (gap) => options.onGap(`${source.stream}: ${gap.from} to ${gap.to} are no longer stored\n`),
          onError: (error) => done.reject(error),
          onMessage: async (message) => {
            const mine = turn.then(async () => {
              if (await options.show(message)) end();
            });
            turn = mine;
            await mine;
          },
        }),
      );
    }
    if (!options.follow) void Promise.all(readers.map((reader) => reader.caughtUp)).then(end);
    if (options.stop.aborted) end();
    await done.promise;
  } finally {
    options.stop.removeEventListener("abort", end);
    await Promise.all(readers.map((reader) => reader.stop()));
  }
}

async function exists(nats: Nats, stream: string): Promise<void> {
  try {
    await streamState(nats, stream);
  } catch (error) {
    if (error instanceof StreamMissing) throw new CommandFailed(`${error.message}; is the service that owns it running?`, { cause: error });
    throw error;
  }
}

async function openTenants(nats: Nats): Promise<{
  nameOf(id: string): string | undefined;
  /** Tenant of a feed that still exists. */
  ownerOf(feedId: string): string | undefined;
  /** @throws CommandFailed for a slug or id nobody has. */
  idOf(slugOrId: string): string;
  stop(): Promise<void>;
}> {
  await exists(nats, "REGISTRY");
  const registry = await openRegistry(nats, { aggregates: ["tenant", "feed"], log: createLogger({ service: "cli", level: "silent" }) });
  return {
    nameOf: (id) => TenantRecord.safeParse(registry.get("tenant", id)?.data).data?.slug,
    ownerOf: (feedId) => FeedRecord.safeParse(registry.get("feed", feedId)?.data).data?.tenantId,
    idOf: (slugOrId) => {
      const all = registry.list("tenant").flatMap((record) => TenantRecord.safeParse(record.data).data ?? []);
      const found = all.find((tenant) => tenant.slug === slugOrId || tenant.id === slugOrId);
      if (!found) throw new CommandFailed(`no tenant ${slugOrId}`);
      return found.id;
    },
    stop: () => registry.stop(),
  };
}

function startOf(args: Parsed, nowMs: number): ReadFrom {
  const since = args.text("since");
  if (since === undefined) return args.flag("follow") ? "new" : { timeMs: nowMs - DEFAULT_SINCE_MS };
  if (!/^\d{4}-/.test(since)) return { timeMs: nowMs - durationMs(since, "since") };
  const at = Date.parse(since);
  if (Number.isNaN(at)) throw new UsageError(`--since ${since} is not a time`);
  return { timeMs: at };
}

function filterOf(args: Parsed): TapFilter {
  const [behavioralClass, type, visitorId, page] = [args.text("class"), args.text("type"), args.text("visitor"), args.text("page")];
  const [feedId, topic] = [args.text("feed"), args.text("topic")];
  return {
    ...(behavioralClass === undefined ? {} : { class: oneOf(behavioralClass, BEHAVIORAL_CLASSES, "class") }),
    ...(type === undefined ? {} : { type: typeOf(type) }),
    ...(visitorId === undefined ? {} : { visitorId }),
    ...(page === undefined ? {} : { page }),
    ...(feedId === undefined ? {} : { feedId }),
    ...(topic === undefined ? {} : { topic }),
  };
}

/** Types of visitor events, of feed messages and frames, and dotted types of registry records (`key.revoked`). */
function typeOf(text: string): string {
  const isDotted = /\./.test(text);
  return isDotted ? text : oneOf(text, [...VISIT_TYPES, "optout", "optin", ...FEED_TYPES], "type");
}
