/** Public surface: the command line as a function, for tests and for embedding. */
export { runCli } from "./cli.ts";
export type { Terminal } from "./terminal.ts";
