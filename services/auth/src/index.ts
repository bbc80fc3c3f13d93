/** Public surface of the auth service. */
export { type AuthConfig, parseAuthConfig } from "./config.ts";
export { startAuth } from "./service.ts";
