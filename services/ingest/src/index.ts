/** Public surface of the ingest service. */
export { type IngestConfig, parseIngestConfig } from "./config.ts";
export type { CredentialVerifier, Limiter, Verification } from "./ports.ts";
export { type IngestOverrides, startIngest } from "./service.ts";
