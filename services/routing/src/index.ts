/** Public surface of the routing service. */
export { type RoutingConfig, parseRoutingConfig } from "./config.ts";
export { startRouting } from "./service.ts";
