/**
 * A whole intelligence for tests: the real service over HTTP and NATS with its own broker and database, model providers that behave as asked,
 * feeds in the registry, messages as routing writes them, and an auth that knows three people and counts their tokens. Never imported by
 * product code.
 */
import {
  createPublisher,
  createLlmClient,
  ensureStreams,
  type LlmClient,
  type Nats,
  openNats,
  openReader,
  type Publisher,
  serveRequests,
} from "@headwater/messaging";
import {
  decodeFrameHeader,
  encodeFrame,
  feedKeys,
  type FeedRecord,
  type FrameHeader,
  frameLineRanges,
  laneOf,
  PLAN_LIMITS,
  type SessionCredential,
  streamSpecs,
  subjects,
  type TokenUsage,
  topicWire,
  type UsageRequest,
} from "@headwater/protocol";
import { type Deps, type HttpServer, listenHttp, type Logger, type Service, systemClock } from "@headwater/runtime";
import { createDatabase, type LlmServer, quietLogger, startLlmServer, startNats, type TestNats, until } from "@headwater/testkit";
import { parseIntelligenceConfig } from "../config.ts";
import { startIntelligence } from "../service.ts";

export { feedRecord } from "./feed-record.ts";

export const ALICE = "alice.token.x";
export const BOB = "bob.token.x";
const PEOPLE: Record<string, string> = { [ALICE]: "alice", [BOB]: "bob" };

export interface Message {
  feedId: string;
  topic?: string;
  /** JSON source text. */
  json: string;
  ts?: number;
}

export interface Instance {
  service: Service;
  url: string;
  stop(): Promise<void>;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

export class IntelligenceFixture {
  readonly nats: Nats;
  readonly broker: TestNats;
  readonly provider: LlmServer;
  readonly client: LlmClient;
  /** By tenant. */
  readonly usage = new Map<string, TokenUsage>();
  readonly additions: { tenantId: string; id: string; tokens: number }[] = [];
  /** While true, auth does not answer about usage. */
  isUsageAway = false;
  readonly #publisher: Publisher;
  readonly #deps: Omit<Deps, "instanceId">;
  readonly #closers: (() => unknown)[];
  readonly #instances = new Set<Instance>();
  #inSeq = 0;

  private constructor(broker: TestNats, nats: Nats, provider: LlmServer, deps: Omit<Deps, "instanceId">, closers: (() => unknown)[]) {
    this.broker = broker;
    this.nats = nats;
    this.provider = provider;
    this.#deps = deps;
    this.#publisher = createPublisher(nats);
    this.client = createLlmClient(nats, { clock: systemClock, log: deps.log });
    const auth = serveRequests(nats, {
      name: "auth",
      version: "0.0.0",
      description: "knows three people",
      instanceId: "auth-0",
      metadata: {},
      statsData: () => ({}),
      endpoints: {
        session: (payload) => this.#session((payload as { token: string }).token),
        usage: (payload) => this.#usage(payload as UsageRequest),
      },
      log: deps.log,
    });
    this.#closers = [...closers, () => this.#publisher.close(), () => auth.stop()];
  }

  static async open(adminUrl: string, log: Logger = quietLogger()): Promise<IntelligenceFixture> {
    const [broker, database, provider] = await Promise.all([startNats(), createDatabase(adminUrl, "intelligence"), startLlmServer()]);
    const nats = await openNats({ url: broker.url, name: "fixture", log });
    await ensureStreams(nats, streamSpecs("laptop"), { replicas: 1 });
    const secret = "x".repeat(32);
    const secrets = {
      keyPepper: secret,
      cursorKey: secret,
      privacyKey: secret,
      adminToken: secret,
      jwtSecret: secret,
      encryptionKey: secret,
    };
    const deps = {
      log,
      clock: systemClock,
      natsUrl: broker.url,
      natsUser: "",
      natsPassword: "",
      databaseUrl: database.url,
      profile: "laptop" as const,
      secrets,
    };
    return new IntelligenceFixture(broker, nats, provider, deps, [
      () => broker.stop(),
      () => database.drop(),
      () => provider.stop(),
      () => nats.drain(),
    ]);
  }

  get databaseUrl(): string {
    return this.#deps.databaseUrl ?? "";
  }

  /** Asks the local provider as `openai` by default. Resolves when all lanes are ours or somebody else's. */
  async start(env: Record<string, string> = {}, instanceId = "intelligence-0"): Promise<Instance> {
    const config = parseIntelligenceConfig({
      OPENAI_API_KEY: "k",
      OPENAI_BASE_URL: `${this.provider.url}/v1`,
      OLLAMA_DISCOVERY_URL: "off",
      LLM_REQUESTS_PER_MINUTE: "100000",
      LLM_REQUEST_BURST: "10000",
      RATE_LIMIT_PER_SECOND: "10000",
      RATE_LIMIT_BURST: "10000",
      ...env,
    });
    const service = await startIntelligence(config, { ...this.#deps, instanceId });
    const http: HttpServer = await listenHttp({
      services: [service],
      host: "127.0.0.1",
      port: 0,
      log: this.#deps.log,
      health: () => service.health(),
    });
    const instance: Instance = {
      service,
      url: http.url,
      stop: async () => {
        if (!this.#instances.delete(instance)) return;
        await http.close(200);
        await service.stop();
      },
    };
    this.#instances.add(instance);
    await until("lanes are rebuilt", () => {
      const lanes = service.status()["lanes"] as { state: string }[];
      return lanes.length > 0 && lanes.every(({ state }) => state === "live");
    });
    return instance;
  }

  async feed(record: FeedRecord | null, id = record?.id ?? ""): Promise<number> {
    const text = JSON.stringify({ v: 1, type: "feed.updated", aggregate: "feed", id, at: new Date(0).toISOString(), data: record });
    return (await this.#publisher.publish(subjects.registry("feed", id), text)).seq;
  }

  /** One frame with messages of one lane, as routing writes it. @returns its sequence in TOPICS */
  async put(...messages: Message[]): Promise<number> {
    const keyOf = ({ feedId, topic }: Message): string => (topic === undefined ? feedKeys.data(feedId) : feedKeys.topic(feedId, topic));
    const keys = [...new Set(messages.map(keyOf))];
    const inSeq = ++this.#inSeq;
    const header: FrameHeader = { v: 1, family: "topics", gen: "g1", epoch: 1, in: inSeq, reg: 1, regs: [], n: messages.length, keys };
    const text = encodeFrame(
      header,
      messages.map((message, line) => {
        const { feedId, topic, json, ts = Date.now() } = message;
        const wire =
          topic === undefined
            ? topicWire.feedData({ feedId, feedName: `feed "${feedId}"`, eventName: "e", data: json, ts })
            : topicWire.topicData({ feedId, topic, data: json, ts });
        return { wire, ext: JSON.stringify({ k: keys.indexOf(keyOf(message)), ts, p: [inSeq, line] }) };
      }),
    );
    return (await this.#publisher.publish(subjects.lane("topics", laneOf(messages[0]?.feedId ?? "")), text)).seq;
  }

  /** Something that is no frame of messages. */
  async putRaw(feedId: string, text: string): Promise<number> {
    return (await this.#publisher.publish(subjects.lane("topics", laneOf(feedId)), text)).seq;
  }

  async ask(
    instance: Instance,
    method: string,
    path: string,
    init: { body?: unknown; token?: string; accept?: string } = {},
  ): Promise<Answer> {
    const answer = await fetch(`${instance.url}${path}`, {
      method,
      headers: {
        ...(init.token === undefined ? {} : { Authorization: `Bearer ${init.token}` }),
        ...(init.accept === undefined ? {} : { Accept: init.accept }),
      },
      ...(init.body === undefined ? {} : { body: typeof init.body === "string" ? init.body : JSON.stringify(init.body) }),
    });
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  }

  /** Wire lines of ANALYSES with their key, in order. */
  async analyses(): Promise<{ key: string; wire: Record<string, unknown>; ext: Record<string, unknown> }[]> {
    const found: { key: string; wire: Record<string, unknown>; ext: Record<string, unknown> }[] = [];
    const decoder = new TextDecoder();
    const reader = openReader(this.nats, {
      stream: "ANALYSES",
      from: "all",
      onMessage: ({ data }) => {
        const frame = decodeFrameHeader(data);
        if (!frame.ok) throw new Error(frame.reason);
        const ranges = frameLineRanges(frame.body, frame.header.n);
        for (let i = 0; i < frame.header.n; i++) {
          const line = (at: number): Record<string, unknown> =>
            JSON.parse(decoder.decode(frame.body.subarray(ranges[i * 4 + at], ranges[i * 4 + at + 1]))) as Record<string, unknown>;
          const ext = line(2);
          found.push({ key: frame.header.keys[Number(ext["k"])] ?? "", wire: line(0), ext });
        }
      },
    });
    await reader.caughtUp;
    await reader.stop();
    return found;
  }

  async close(): Promise<void> {
    for (const instance of this.#instances) await instance.stop();
    for (const close of this.#closers.toReversed()) await close();
  }

  usageOf(tenantId: string): TokenUsage {
    const known = this.usage.get(tenantId) ?? {
      currentMonth: "2026-11",
      tokensUsed: 0,
      limit: 1_000_000,
      lastResetDate: "2026-11-01T00:00:00.000Z",
      overdraftAllowed: true,
    };
    this.usage.set(tenantId, known);
    return known;
  }

  async #usage({ tenantId, add }: UsageRequest): Promise<{ tokenUsage: TokenUsage }> {
    if (this.isUsageAway) return await new Promise(() => undefined);
    const usage = this.usageOf(tenantId);
    if (add && !this.additions.some((known) => known.tenantId === tenantId && known.id === add.id)) {
      this.additions.push({ tenantId, ...add });
      usage.tokensUsed += add.tokens;
    }
    return { tokenUsage: { ...usage } };
  }

  #session(token: string): unknown {
    const name = PEOPLE[token];
    if (name === undefined) return { ok: false, code: "invalid" };
    const session: SessionCredential = {
      sessionId: `ses-${name}`,
      userId: `u-${name}`,
      email: `${name}@example.com`,
      username: name,
      tenantId: name,
      tenantSlug: name,
      plan: "free",
      limits: PLAN_LIMITS.free,
      expiresAt: "2036-01-08T00:00:00.000Z",
      reg: 0,
    };
    return { ok: true, session };
  }
}
