/** Public surface: the whole system as a library, for the CLI and for multi-service tests. */
export { isLoopback, type Options, parseOptions, USAGE } from "./options.ts";
export type { RunFile } from "./run-file.ts";
export { type Standalone, startStandalone } from "./start.ts";
export type { RunningSystem } from "./system.ts";
