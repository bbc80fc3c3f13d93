/**
 * NATS micro services API (ADR-32): `$SRV.PING/INFO/STATS` and queue-group endpoints `svc.<name>.<verb>`,
 * so that `nats micro ls` and `headwater status` see every instance. Tests: service.int.test.ts.
 */
import { subjects } from "@headwater/protocol";
import type { Logger } from "@headwater/runtime";
import { type Msg, type Nats, NoResponders, RequestTimeout, type Subscription } from "./connection.ts";
import { decodeRpcAnswer, encodeRpcError, RpcError, RpcUnavailable } from "./rpc-error.ts";

/** Gets the parsed JSON payload, answers with something JSON can carry; refuses by throwing {@link RpcError}. */
export type RpcHandler = (payload: unknown) => unknown;

export interface ServeOptions {
  /** Also the middle part of `svc.<name>.<verb>`. */
  name: string;
  /** Semantic version. */
  version: string;
  description: string;
  /** Stable per slot, `scoring-0`. */
  instanceId: string;
  metadata: Record<string, string>;
  /** Shown as `data` of the endpoint `status` in STATS, and answered by `svc.<name>.status`. */
  statsData(): unknown;
  endpoints: Record<string, RpcHandler>;
  log: Logger;
}

interface EndpointStats {
  name: string;
  subject: string;
  queue_group: string;
  num_requests: number;
  num_errors: number;
  last_error: string;
  /** Nanoseconds. */
  processing_time: number;
  average_processing_time: number;
}

const QUEUE_GROUP = "q";
const STATUS = "status";

export function serveRequests(nats: Nats, options: ServeOptions): { stop(): void } {
  const started = new Date().toISOString();
  const identity = { name: options.name, id: options.instanceId, version: options.version, metadata: options.metadata };
  const stats: EndpointStats[] = [];
  const subscriptions: Subscription[] = [];

  const endpoints: Record<string, RpcHandler> = { ...options.endpoints, [STATUS]: () => options.statsData() };
  for (const [verb, handler] of Object.entries(endpoints)) {
    const subject = subjects.serviceRequest(options.name, verb);
    const row: EndpointStats = {
      name: verb,
      subject,
      queue_group: QUEUE_GROUP,
      num_requests: 0,
      num_errors: 0,
      last_error: "",
      processing_time: 0,
      average_processing_time: 0,
    };
    stats.push(row);
    subscriptions.push(
      nats.core.subscribe(subject, {
        queue: QUEUE_GROUP,
        callback: (msg) => {
          const begin = performance.now();
          void answerRequest(msg, handler, options.log).then((failure) => {
            row.num_requests++;
            row.processing_time += Math.round((performance.now() - begin) * 1e6);
            row.average_processing_time = Math.round(row.processing_time / row.num_requests);
            if (failure === undefined) return;
            row.num_errors++;
            row.last_error = `${failure.status}:${failure.message}`;
          });
        },
      }),
    );
  }

  const answers: Record<string, () => unknown> = {
    PING: () => ({ type: "io.nats.micro.v1.ping_response", ...identity }),
    INFO: () => ({
      type: "io.nats.micro.v1.info_response",
      ...identity,
      description: options.description,
      endpoints: stats.map(({ name, subject, queue_group }) => ({ name, subject, queue_group, metadata: {} })),
    }),
    STATS: () => ({
      type: "io.nats.micro.v1.stats_response",
      ...identity,
      started,
      endpoints: stats.map((row) => (row.name === STATUS ? { ...row, data: options.statsData() } : row)),
    }),
  };
  for (const [verb, answer] of Object.entries(answers)) {
    for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${options.name}`, `$SRV.${verb}.${options.name}.${options.instanceId}`]) {
      subscriptions.push(nats.core.subscribe(subject, { callback: (msg) => void msg.respond(JSON.stringify(answer())) }));
    }
  }
  return {
    stop() {
      if (!nats.closed) for (const subscription of subscriptions) subscription.unsubscribe();
    },
  };
}

/** Runs a handler and answers. @returns the failure when there was one; unknown errors are logged and travel as `internal` without detail. */
export async function answerRequest(msg: Msg, handler: RpcHandler, log: Logger): Promise<RpcError | undefined> {
  let failure: RpcError;
  try {
    const text = new TextDecoder().decode(msg.data);
    let payload: unknown;
    try {
      payload = text === "" ? undefined : JSON.parse(text);
    } catch (error) {
      throw new RpcError("invalid_json", `the payload is not JSON: ${error instanceof Error ? error.message : "?"}`, 400);
    }
    msg.respond(JSON.stringify((await handler(payload)) ?? null));
    return undefined;
  } catch (error) {
    if (error instanceof RpcError) failure = error;
    else {
      log.error({ err: error, subject: msg.subject }, "rpc.handler_failed");
      failure = new RpcError("internal", "internal error", 500);
    }
  }
  const { body, headers } = encodeRpcError(failure);
  msg.respond(body, headers);
  return failure;
}

/** Asks any instance of a service. @throws RpcError (refused), RpcUnavailable (nobody, timeout, connection down). */
export function callService(
  nats: Nats,
  service: string,
  verb: string,
  payload: unknown,
  options: { timeoutMs?: number; headers?: Record<string, string> } = {},
): Promise<unknown> {
  return requestJson(nats, subjects.serviceRequest(service, verb), payload, options);
}

export async function requestJson(
  nats: Nats,
  subject: string,
  payload: unknown,
  options: { timeoutMs?: number; headers?: Record<string, string> | undefined } = {},
): Promise<unknown> {
  // While disconnected the client would queue the request and answer long after anybody cares.
  if (!nats.connected()) throw new RpcUnavailable("not connected to NATS");
  let answer: Msg;
  try {
    answer = await nats.core.request(subject, JSON.stringify(payload ?? null), {
      timeoutMs: options.timeoutMs ?? 2_000,
      headers: options.headers,
    });
  } catch (error) {
    const why =
      error instanceof NoResponders ? "nobody answers" : error instanceof RequestTimeout ? "no answer in time" : "connection lost";
    throw new RpcUnavailable(`${subject}: ${why}`, { cause: error });
  }
  return decodeRpcAnswer(answer);
}
