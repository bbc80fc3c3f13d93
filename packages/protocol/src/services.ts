/** The six services, and what each one's NATS user may publish and subscribe to. */
import { LANE_COUNT } from "./lane.ts";
import { subjects } from "./subjects.ts";

export const SERVICES = ["auth", "ingest", "scoring", "routing", "intelligence", "edge"] as const;
export type ServiceName = (typeof SERVICES)[number];

/** NATS users: the services, `admin` (CLI of an operator), `tap` (read-only). */
export const NATS_USERS = [...SERVICES, "admin", "tap"] as const;
export type NatsUser = (typeof NATS_USERS)[number];

export interface NatsPermissions {
  publish: { allow: string[]; deny?: string[] };
  subscribe: { allow: string[]; deny?: string[] };
  /** May answer a request it was sent, on that request's own inbox, and on no other. */
  allow_responses?: boolean | { max: number; expires: string };
}

/** Every user has inboxes of its own: nobody can read or forge the answers another one waits for. */
export function inboxPrefixOf(user: string): string {
  return `_INBOX_${user}`;
}

const discovery = ["$SRV.>"];
const inboxesOf = (user: NatsUser): string[] => [`${inboxPrefixOf(user)}.>`];
/** Reading any stream: create and pull ephemeral consumers, look up streams and messages. Never stream create, update, purge or delete. */
const readStreams = [
  "$JS.API.INFO",
  "$JS.API.STREAM.INFO.*",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.LIST",
  "$JS.API.STREAM.MSG.GET.*",
  "$JS.API.DIRECT.GET.>",
  "$JS.API.CONSUMER.>",
  "$JS.ACK.>",
  "$JS.FC.>",
];
const ensure = (...streams: string[]): string[] =>
  streams.flatMap((name) => [`$JS.API.STREAM.CREATE.${name}`, `$JS.API.STREAM.UPDATE.${name}`]);
/** A NATS wildcard is a whole token, so every lane's stream is named. */
const laneStreams = Array.from({ length: LANE_COUNT }, (_, lane) => `VISITS_${lane}`);
const feedStreams = Array.from({ length: LANE_COUNT }, (_, lane) => `FEEDS_${lane}`);
const kvWrite = (bucket: string): string[] => [`$KV.${bucket}.>`, ...ensure(`KV_${bucket}`)];

function service(name: ServiceName, publish: string[], subscribe: string[] = []): NatsPermissions {
  return {
    publish: { allow: [...readStreams, ...kvWrite("cfg"), subjects.deadLetters(name), "$SRV.>", "svc.auth.>", "rpc.limits.>", ...publish] },
    subscribe: { allow: [...inboxesOf(name), ...discovery, ...subscribe] },
    allow_responses: true,
  };
}

/** Source of the users block of the embedded server's configuration and of infra/nats. Tested against a real server. */
export function natsPermissions(user: NatsUser): NatsPermissions {
  switch (user) {
    case "auth":
      return service("auth", [subjects.allRegistry(), ...kvWrite("lease"), ...ensure("REGISTRY", "DLQ")], ["svc.auth.>", "rpc.limits.>"]);
    case "ingest":
      return service(
        "ingest",
        [
          subjects.allLanes("visits"),
          subjects.allLanes("consents"),
          subjects.allLanes("feeds"),
          "rpc.visits.>",
          ...kvWrite("lease"),
          ...ensure(...laneStreams, ...feedStreams, "CONSENTS"),
        ],
        ["svc.ingest.>", "rpc.upstreams.>", subjects.allPresence()],
      );
    case "scoring":
      return service(
        "scoring",
        [
          subjects.allLanes("signals"),
          subjects.allLanes("erasures"),
          "rpc.visits.>",
          ...kvWrite("lease"),
          ...ensure("SIGNALS", "ERASURES"),
          ...laneStreams.map((name) => `$JS.API.STREAM.PURGE.${name}`),
        ],
        ["svc.scoring.>", "rpc.visits.>"],
      );
    case "routing":
      return service(
        "routing",
        [
          subjects.allLanes("topics"),
          // Feeds, monitors and rules are its own; tenants, keys and sessions are not.
          ...(["feed", "monitor", "rule"] as const).map((aggregate) => `registry.${aggregate}.*`),
          "svc.ingest.>",
          "rpc.upstreams.>",
          "rpc.feeds.>",
          ...kvWrite("lease"),
          ...ensure("TOPICS"),
        ],
        ["svc.routing.>", "rpc.feeds.>", subjects.allPresence()],
      );
    case "intelligence":
      return {
        ...service(
          "intelligence",
          [
            subjects.allLanes("analyses"),
            "rpc.analyses.>",
            "svc.routing.>",
            subjects.llmCall(),
            subjects.allLlmControls(),
            ...kvWrite("lease"),
            ...ensure("ANALYSES"),
          ],
          ["svc.intelligence.>", "rpc.analyses.>", subjects.llmCall(), subjects.allLlmControls(), subjects.allPresence()],
        ),
        // One question, many chunks.
        allow_responses: { max: 100_000, expires: "10m" },
      };
    case "edge":
      return service(
        "edge",
        ["presence.*", subjects.allSocketSessions(), subjects.llmCall(), subjects.allLlmControls(), ...ensure("SOCKETS")],
        ["svc.edge.>", "presence.*"],
      );
    case "admin":
      // Asks, never answers: without leave to respond it cannot forge a service's answer.
      return { publish: { allow: ["svc.>", "rpc.>", "$SRV.>", ...readStreams] }, subscribe: { allow: [">"] } };
    case "tap":
      return {
        publish: {
          allow: [
            "$SRV.>",
            "$JS.API.INFO",
            "$JS.API.STREAM.INFO.*",
            "$JS.API.STREAM.NAMES",
            "$JS.API.STREAM.LIST",
            "$JS.API.CONSUMER.CREATE.>",
            "$JS.API.CONSUMER.MSG.NEXT.>",
            "$JS.API.CONSUMER.INFO.>",
            "$JS.API.CONSUMER.DELETE.>",
            "$JS.FC.>",
          ],
        },
        subscribe: { allow: [">"], deny: ["svc.>", "rpc.>", "llm.>", ...NATS_USERS.filter((other) => other !== "tap").flatMap(inboxesOf)] },
      };
  }
}
