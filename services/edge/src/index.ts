/** Public surface of the edge. */
export { type EdgeConfig, EdgeEnv, parseEdgeConfig } from "./config.ts";
export { startEdge } from "./service.ts";
