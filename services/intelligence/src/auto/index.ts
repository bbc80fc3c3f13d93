/** Public surface of automatic analyses for the composition root. */
export { createAnalysisWriter } from "./analysis-writer.ts";
export { startAuto } from "./start-auto.ts";
