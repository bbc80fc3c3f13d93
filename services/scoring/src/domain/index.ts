/** Public surface of the scoring model: a pure fold over visitor events, its state, its settings and its snapshot. */
export type { RegistryData, RegistryName } from "./bot-registry.ts";
export { type Catalog, createCatalog } from "./catalog.ts";
export { SCORING_VERSION } from "./config.ts";
export { visitorContext } from "./context.ts";
export type { ParsedAgent } from "./device.ts";
export { foldVisit } from "./fold.ts";
export { neutralContext } from "./neutral-context.ts";
export { compileSiteScoring, type SiteScoring } from "./site-scoring.ts";
export { newVisitorState, type VisitorState } from "./visitor-state.ts";
