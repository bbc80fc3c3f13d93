/** Public surface of the scoring service. */
export { parseScoringConfig, type ScoringConfig } from "./config.ts";
export { startScoring } from "./service.ts";
