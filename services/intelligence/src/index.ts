/** Public surface of the intelligence service. */
export { type IntelligenceConfig, parseIntelligenceConfig } from "./config.ts";
export { startIntelligence } from "./service.ts";
