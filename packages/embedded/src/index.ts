/** Public surface of the embedded runtimes: nats-server and PostgreSQL as child processes, and the files that keep track of them. */
export { cacheDir } from "./cache-dir.ts";
export { type Child, type ChildOptions, startChild } from "./child-process.ts";
export { type EndWithParent, endWithParent } from "./end-with-parent.ts";
export { freePort, onFreePorts } from "./free-port.ts";
export { findNatsServer, MIN_NATS_VERSION, type NatsBinary, resolveNatsServer } from "./nats-binary.ts";
export { type NatsServerOptions, type NatsUserConfig, startNatsServer } from "./nats-server.ts";
export { claimDataDir, type PidFile } from "./pid-file.ts";
export { type PostgresOptions, startPostgres } from "./postgres-server.ts";
