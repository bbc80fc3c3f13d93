/** Latencies of a run as an HDR histogram with three digits, in microseconds up to ten minutes. Pure; travels between processes as text. */
import hdr, { type Histogram } from "hdr-histogram-js";
import type { Percentiles } from "./report.ts";

const OPTIONS: hdr.BuildRequest = {
  bitBucketSize: 32,
  autoResize: false,
  lowestDiscernibleValue: 1,
  highestTrackableValue: 600_000_000,
  numberOfSignificantValueDigits: 3,
};

export class Latency {
  readonly #histogram: Histogram = hdr.build(OPTIONS);

  recordUs(us: number): void {
    this.#histogram.recordValue(Math.min(Math.max(1, Math.round(us)), OPTIONS.highestTrackableValue ?? 1));
  }
  reset(): void {
    this.#histogram.reset();
  }
  percentiles(): Percentiles {
    const at = (p: number): number => this.#histogram.getValueAtPercentile(p) / 1000;
    return {
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: this.#histogram.maxValue / 1000,
      count: this.#histogram.totalCount,
    };
  }
}
