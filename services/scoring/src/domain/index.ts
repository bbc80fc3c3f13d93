/** Public surface of the scoring model: a pure fold over visitor events, its state, its settings and its snapshot. */
export { type RegistryData, type RegistryEntry, type RegistryName } from "./bot-registry.ts";
export { type AgentProfile, type Catalog, type CatalogOptions, createCatalog } from "./catalog.ts";
export { SCORING_VERSION } from "./config.ts";
export { visitorContext } from "./context.ts";
export type { ParsedAgent } from "./device.ts";
export { type FoldResult, foldVisit, type Labeled } from "./fold.ts";
export { neutralContext } from "./neutral-context.ts";
export { compileSiteScoring, type SiteScoring } from "./site-scoring.ts";
export { newVisitorState, type VisitorState } from "./visitor-state.ts";
