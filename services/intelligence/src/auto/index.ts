/** Public surface of automatic analyses for the composition root. */
export { createAnalysisWriter, type FrameSink, NotOurLane } from "./analysis-writer.ts";
export { type Auto, type AutoDeps, startAuto } from "./start-auto.ts";
