/**
 * Every NATS subject of Headwater. A literal subject anywhere else is a lint error.
 * No tenant, visitor, post or session id ever appears in a subject; `registry` is the one exception (few, long-lived aggregates).
 * Vectors: vectors/subjects.json.
 */
import { LANE_COUNT } from "./lane.ts";

/** Families of laned input streams (one stream per lane). */
export const INPUT_FAMILIES = ["visits", "feeds", "posts", "turns"] as const;
export type InputFamily = (typeof INPUT_FAMILIES)[number];

/** Families of laned output subjects (one stream, one subject per lane). */
export const OUTPUT_FAMILIES = ["signals", "topics", "analyses", "matches", "emotions"] as const;
export type OutputFamily = (typeof OUTPUT_FAMILIES)[number];

/** What an owner of a lane can be asked about: laned inputs, upstream connections (ingest), shared limits (auth) and contexts (intelligence). */
export type RequestFamily = InputFamily | "upstreams" | "limits" | "analyses";

/** Families of privacy logs keyed by HMAC, one subject per visitor lane. */
export type PrivacyFamily = "erasures" | "consents";

export type LanedFamily = InputFamily | OutputFamily | PrivacyFamily;

export const REGISTRY_AGGREGATES = ["tenant", "key", "site", "feed", "monitor", "rule", "session", "system"] as const;
export type RegistryAggregate = (typeof REGISTRY_AGGREGATES)[number];

const token = /^[A-Za-z0-9_-]{1,64}$/;
function safeToken(value: string): string {
  if (!token.test(value)) throw new RangeError(`not a subject token: ${JSON.stringify(value.slice(0, 80))}`);
  return value;
}

export const subjects = {
  /** `visits.3`: the subject of one lane of a family. */
  lane(family: LanedFamily, lane: number): string {
    if (!Number.isInteger(lane) || lane < 0 || lane >= 256) throw new RangeError(`not a lane: ${lane}`);
    return `${family}.${lane}`;
  },
  /** `signals.*`: all lanes of a family. */
  allLanes(family: LanedFamily): string {
    return `${family}.*`;
  },
  /** `registry.key.<id>`: one subject per aggregate; its expected sequence guards concurrent writers. */
  registry(aggregate: RegistryAggregate, id: string): string {
    return `registry.${aggregate}.${safeToken(id)}`;
  },
  allRegistry(): string {
    return "registry.>";
  },
  deadLetters(service: string): string {
    return `dlq.${safeToken(service)}`;
  },
  allDeadLetters(): string {
    return "dlq.*";
  },
  /** Answered by the owner of the lane only: `rpc.visits.3.context`. */
  laneRequest(family: RequestFamily, lane: number, verb: string): string {
    return `rpc.${family}.${lane}.${safeToken(verb)}`;
  },
  /** Answered by any instance of the service (queue group): `svc.auth.verify`. Listed by `$SRV.INFO`. */
  serviceRequest(service: string, verb: string): string {
    return `svc.${safeToken(service)}.${safeToken(verb)}`;
  },
  /**
   * What one `/ws` session listens to. Its key is no id but a keyed hash; one subject per session makes the newest message the only one, and those
   * are gone after minutes.
   */
  socketSession(key: string): string {
    return `sockets.${safeToken(key)}`;
  },
  allSocketSessions(): string {
    return "sockets.*";
  },
  /** Core NATS heartbeat of an edge. */
  presence(edgeId: string): string {
    return `presence.${safeToken(edgeId)}`;
  },
  /** Answered by any instance of intelligence (queue group), in chunks to the request's inbox. */
  llmCall(): string {
    return "llm.call";
  },
  /** Credit and cancellation of one running call. */
  llmControl(callId: string): string {
    return `llm.control.${safeToken(callId)}`;
  },
  allLlmControls(): string {
    return "llm.control.*";
  },
  allPresence(): string {
    return "presence.*";
  },
} as const;

export type ParsedSubject =
  | { kind: "lane"; family: LanedFamily; lane: number }
  | { kind: "registry"; aggregate: RegistryAggregate; id: string }
  | { kind: "dead_letter"; service: string }
  | { kind: "socket_session"; key: string }
  | { kind: "unknown" };

const LANED: readonly string[] = [...INPUT_FAMILIES, ...OUTPUT_FAMILIES, "erasures", "consents"];

/** Never throws; anything that is not one of ours is `unknown`. */
export function parseSubject(subject: string, laneCount: number = LANE_COUNT): ParsedSubject {
  const [head, second, third, ...rest] = subject.split(".");
  if (head === undefined || second === undefined || rest.length > 0) return { kind: "unknown" };
  if (LANED.includes(head) && third === undefined && /^(0|[1-9]\d{0,2})$/.test(second) && Number(second) < laneCount) {
    // The cast holds: membership was checked on the line above.
    return { kind: "lane", family: head as LanedFamily, lane: Number(second) };
  }
  if (head === "registry" && third !== undefined && token.test(third)) {
    const aggregate = REGISTRY_AGGREGATES.find((name) => name === second);
    if (aggregate) return { kind: "registry", aggregate, id: third };
  }
  if (head === "dlq" && third === undefined && token.test(second)) return { kind: "dead_letter", service: second };
  if (head === "sockets" && third === undefined && token.test(second)) return { kind: "socket_session", key: second };
  return { kind: "unknown" };
}
