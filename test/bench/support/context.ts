/** What every scenario of a bench run is given. */
export interface BenchContext {
  env: NodeJS.ProcessEnv;
  /** Measured seconds of one run. */
  seconds: number;
  /** Interleaved product/baseline pairs. */
  pairs: number;
  /** Variants of a scenario whose name contains this; empty = all. */
  only: string;
  log: (line: string) => void;
}
