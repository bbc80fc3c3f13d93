/** Ingest on a real nats-server behind a real HTTP listener, with credentials from a table, for its integration tests. */
import http from "node:http";
import { inputStreamName, LANE_COUNT, parseSubject, type SiteRecord, streamSpecs, subjects, type VisitInput } from "@headwater/protocol";
import { createPublisher, ensureStreams, type Nats, openNats, openReader, streamState } from "@headwater/messaging";
import { listenHttp, privacyKeyOf, ResourceStack, type Service, systemClock } from "@headwater/runtime";
import { quietLogger, startNats, type TestNats, until } from "@headwater/testkit";
import { type IngestConfig, parseIngestConfig } from "../config.ts";
import type { Limiter, Verification } from "../ports.ts";
import { startIngest } from "../service.ts";
import { credential } from "./samples.ts";

export const PRIVACY_KEY = "privacy-key-of-the-tests-0123456789";

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Record<string, unknown>;
  text: string;
}

export interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string | string[]>;
  /** Objects are sent as JSON; text and bytes as they are. */
  body?: unknown;
}

export interface Harness {
  url: string;
  nats: TestNats;
  /** A connection of the test's own. */
  link: Nats;
  service: Service;
  /** Sends with the key `browser` unless the headers say otherwise. */
  send(request: Sent): Promise<Answer>;
  /** Everything stored in all visit lanes, in lane order. */
  stored(): Promise<VisitInput[]>;
  records(stream: "CONSENTS"): Promise<Record<string, unknown>[]>;
  /** Publishes a site as auth does; resolves when ingest has read it. */
  registerSite(site: SiteRecord): Promise<void>;
  /** Answers opt-out commands as the fold does, until the harness stops. */
  answerErasures(): void;
  stop(): Promise<void>;
}

export interface HarnessOptions {
  config?: Partial<IngestConfig>;
  /** By key text. */
  keys?: Record<string, Verification>;
  limiter?: Limiter;
  nats?: TestNats;
  /** NATS users of ingest and of the test; none by default. */
  users?: { ingest: { user: string; password: string }; test: { user: string; password: string } };
}

export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const stack = new ResourceStack();
  const log = quietLogger();
  const nats = options.nats ?? (await startNats());
  if (!options.nats) stack.defer(() => nats.stop());
  const link = await openNats({ url: nats.url, name: "test", log, ...options.users?.test });
  stack.defer(() => link.drain());
  await ensureStreams(
    link,
    streamSpecs("laptop").filter((spec) => spec.owner !== "ingest"),
    { replicas: 1 },
  );
  const keys: Record<string, Verification> = { browser: { ok: true, credential: credential() }, ...options.keys };
  const service = await startIngest(
    { ...parseIngestConfig({ COLLECTOR_REQUIRE_REGISTERED_HOST: "false" }), ...options.config },
    {
      log,
      clock: systemClock,
      natsUrl: nats.url,
      natsUser: options.users?.ingest.user ?? "",
      natsPassword: options.users?.ingest.password ?? "",
      // On a server that exists already there may be another instance.
      instanceId: options.nats ? "ingest-1" : "ingest-0",
      profile: "laptop",
      secrets: { keyPepper: "", cursorKey: "", privacyKey: PRIVACY_KEY, adminToken: "", jwtSecret: "", encryptionKey: "" },
    },
    {
      credentials: {
        verify: (key) =>
          Promise.resolve(key === undefined ? { ok: false, code: "missing" } : (keys[key] ?? { ok: false, code: "invalid" })),
      },
      ...(options.limiter ? { limiter: options.limiter } : {}),
    },
  );
  stack.defer(() => service.stop());
  const server = await listenHttp({ services: [service], host: "127.0.0.1", port: 0, log, health: () => service.health() });
  stack.defer(() => server.close(1_000));
  const agent = new http.Agent({ keepAlive: true });
  stack.defer(() => agent.destroy());
  return {
    url: server.url,
    nats,
    link,
    service,
    send: (request) => send(server.url, agent, request),
    stored: async () => {
      await until("the test's own connection is up", () => link.connected());
      const lanes = await Promise.all(Array.from({ length: LANE_COUNT }, (_, lane) => linesOf(link, inputStreamName("visits", lane))));
      // Written by the service under test.
      return lanes.flat() as unknown as VisitInput[];
    },
    records: (stream) => linesOf(link, stream),
    registerSite: async (site) => {
      const publisher = createPublisher(link);
      const record = { v: 1, type: "site.created", aggregate: "site", id: site.id, at: site.createdAt, data: site };
      const { seq } = await publisher.publish(subjects.registry("site", site.id), JSON.stringify(record));
      publisher.close();
      await until("ingest reads the registry", () => Number(service.status()["registry"]) >= seq);
    },
    answerErasures: () => answerErasures(link, stack),
    stop: () => stack.close(),
  };
}

function send(url: string, agent: http.Agent, request: Sent): Promise<Answer> {
  const isRaw = typeof request.body === "string" || Buffer.isBuffer(request.body);
  const body = request.body === undefined ? undefined : isRaw ? (request.body as string | Buffer) : JSON.stringify(request.body);
  return new Promise((resolve, reject) => {
    const req = http.request(
      `${url}${request.path ?? "/v1/events"}`,
      {
        agent,
        method: request.method ?? "POST",
        headers: { "Content-Type": "application/json", "X-API-Key": "browser", ...request.headers },
      },
      (res) => {
        const chunks: Buffer[] = [];
        res.on("data", (chunk: Buffer) => chunks.push(chunk));
        res.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = (res.headers["content-type"] ?? "").startsWith("application/json");
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            body: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
            text,
          });
        });
      },
    );
    req.on("error", reject);
    for (const [name, value] of Object.entries(request.headers ?? {})) if (value === "") req.removeHeader(name);
    req.end(body);
  });
}

async function linesOf(link: Nats, stream: string): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  if ((await streamState(link, stream)).messages === 0) return lines;
  const reader = openReader(link, {
    stream,
    from: "all",
    onMessage: (msg) => {
      for (const line of new TextDecoder().decode(msg.data).split("\n")) lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  });
  await reader.caughtUp;
  await reader.stop();
  return lines;
}

/** The part of the fold that matters here: a privacy command becomes an erasure record of the same lane. */
function answerErasures(link: Nats, stack: ResourceStack): void {
  const publisher = createPublisher(link);
  stack.defer(() => publisher.close());
  for (let lane = 0; lane < LANE_COUNT; lane++) {
    const reader = openReader(link, {
      stream: inputStreamName("visits", lane),
      from: "all",
      onMessage: async (msg) => {
        const parsed = parseSubject(msg.subject);
        for (const line of new TextDecoder().decode(msg.data).split("\n")) {
          const input = JSON.parse(line) as VisitInput;
          if (input.kind === "visit" || parsed.kind !== "lane") continue;
          const key = privacyKeyOf(PRIVACY_KEY, input.tenantId, input.visitorId);
          await publisher.publish(subjects.lane("erasures", parsed.lane), JSON.stringify({ v: 1, kind: input.kind, key, ts: input.ts }));
        }
      },
    });
    stack.defer(() => reader.stop());
  }
}
