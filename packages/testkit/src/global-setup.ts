/**
 * One nats-server and one PostgreSQL for the whole run of integration tests, handed to the files by `inject()`.
 * Order: TEST_NATS_URL / TEST_DATABASE_URL, then TEST_INFRA=containers, then the embedded binaries.
 */
import type { TestProject } from "vitest/node";
import { startContainers } from "./containers.ts";
import { startNats } from "./start-nats.ts";
import { startPostgres } from "./start-postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    natsUrl: string;
    databaseUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = { nats: process.env["TEST_NATS_URL"], database: process.env["TEST_DATABASE_URL"] };
  const stops: (() => Promise<void>)[] = [];
  if (process.env["TEST_INFRA"] === "containers") {
    const containers = await startContainers();
    stops.push(() => containers.stop());
    given.nats ??= containers.natsUrl;
    given.database ??= containers.databaseUrl;
  }
  const [nats, postgres] = await Promise.all([given.nats ? undefined : startNats(), given.database ? undefined : startPostgres()]);
  if (nats) stops.push(() => nats.stop());
  if (postgres) stops.push(() => postgres.stop());
  project.provide("natsUrl", given.nats ?? nats?.url ?? "");
  project.provide("databaseUrl", given.database ?? postgres?.url ?? "");
  return async () => {
    for (const stop of stops) await stop();
  };
}
