/** The scoring model without its service: for acceptance measurements and benchmarks that need no broker. */
export { openCatalog } from "./adapters/catalog.ts";
export { compileSiteScoring, foldVisit, newVisitorState, SCORING_VERSION, type VisitorState } from "./domain/index.ts";
