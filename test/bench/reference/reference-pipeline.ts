/**
 * The reference pipeline: publisher → echo → edge, three processes without product logic. It is the physical limit of this architecture on
 * this box; end-to-end numbers of the product are ratios to it. Entered by HTTP like the product, or from a timetable inside the publisher.
 */
import { type Role, startRole } from "../../support/role.ts";
import type { BenchContext } from "../support/context.ts";
import { startBenchNats } from "../support/nats.ts";

export interface Pipeline {
  name: string;
  /** Where the generator posts, and where the sink connects. */
  http: { host: string; port: number; key: string };
  ws: { host: string; port: number; path: string; parsedPath: string; headers: Record<string, string> };
  idMember: string;
  greetings: number;
  pids: () => ReadonlyMap<string, number>;
}

export interface ReferencePipeline extends Pipeline {
  stop(): Promise<void>;
  publisher: Role;
}

export async function startReference(context: BenchContext): Promise<ReferencePipeline> {
  const nats = await startBenchNats("always", context.env);
  const roles: Role[] = [];
  try {
    for (const name of ["publisher", "echo", "edge"])
      roles.push(await startRole(`reference-${name}`, new URL(`./${name}-role.ts`, import.meta.url)));
    const [publisher, echo, edge] = roles;
    if (!publisher || !echo || !edge) throw new Error("roles are missing");
    await publisher.ask("connect", { url: nats.url, maxEvents: 256 });
    await echo.ask("start", { url: nats.url });
    const wsPort = await edge.ask<number>("start", { url: nats.url });
    const httpPort = await publisher.ask<number>("listen");
    return {
      name: "reference",
      publisher,
      http: { host: "127.0.0.1", port: httpPort, key: "none" },
      ws: { host: "127.0.0.1", port: wsPort, path: "/", parsedPath: "/", headers: {} },
      idMember: "_eid",
      greetings: 0,
      pids: () => new Map([["nats-server", nats.pid], ...roles.map((role): [string, number] => [role.name, role.pid])]),
      stop: async () => {
        await Promise.all(roles.map((role) => role.stop()));
        await nats.stop();
      },
    };
  } catch (error) {
    await Promise.all(roles.map((role) => role.stop()));
    await nats.stop();
    throw error;
  }
}
