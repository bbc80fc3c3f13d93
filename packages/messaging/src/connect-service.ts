/** What every service does with NATS at start: connect as itself, and answer the micro services API under its name. */
import type { ServiceName } from "@headwater/protocol";
import type { Deps } from "@headwater/runtime";
import { type Nats, openNats } from "./connection.ts";
import { type RpcHandler, serveRequests } from "./service.ts";

/** Shown by `$SRV.INFO` and `headwater status`. */
const VERSION = "0.1.0";

/** An empty `natsUser` means that the URL carries the credentials, or that there are none. */
export function connectService(deps: Deps, connectWithinMs: number): Promise<Nats> {
  return openNats({
    url: deps.natsUrl,
    ...(deps.natsUser === "" ? {} : { user: deps.natsUser, password: deps.natsPassword }),
    name: deps.instanceId,
    log: deps.log,
    clock: deps.clock,
    connectWithinMs,
  });
}

export interface Announcement {
  name: ServiceName;
  description: string;
  metadata?: Record<string, string>;
  /** Lanes, lag, sockets, …: the `data` of STATS. */
  status(): Record<string, unknown>;
  endpoints?: Record<string, RpcHandler>;
}

export function announceService(nats: Nats, deps: Deps, service: Announcement): { stop(): void } {
  return serveRequests(nats, {
    name: service.name,
    version: VERSION,
    description: service.description,
    instanceId: deps.instanceId,
    metadata: { pid: String(process.pid), ...service.metadata },
    statsData: service.status,
    endpoints: service.endpoints ?? {},
    log: deps.log,
  });
}
