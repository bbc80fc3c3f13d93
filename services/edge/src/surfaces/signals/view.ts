/** What one Signals Feed socket sees of a labeled event: filter, dialect, additions. Tests: delivery.int.test.ts. */
import { type FeedInclude, type LabelExt } from "@headwater/protocol";
import { CrossingDetector } from "../../domain/crossing.ts";
import { toDialect2 } from "../../domain/dialect.ts";
import { compileFilter, type Dialect, type FeedFilter, filterToWire } from "../../domain/filter.ts";
import { cursorTail, includeTail } from "../../domain/include.ts";
import type { LogEntry } from "../../adapters/log-entry.ts";
import { FrameWriter, NOTHING, type Rendered } from "../../adapters/rfc6455.ts";
import type { RenderOptions, View } from "../../adapters/subscriber.ts";

export interface FeedViewOptions {
  filter: FeedFilter | null;
  includes: readonly FeedInclude[];
  dialect: Dialect;
}

const TYPICAL_EVENT_BYTES = 640;

/** One view for all sockets without a filter that ask for the same additions; most sockets are such. */
export class FeedViews {
  readonly #unfiltered = new Map<string, View>();

  get(options: FeedViewOptions): View {
    if (options.filter !== null || options.includes.includes("cursor")) return createFeedView(options);
    const key = `${options.dialect} ${options.includes.join()}`;
    const view = this.#unfiltered.get(key) ?? createFeedView(options);
    // Includes are a closed set in fixed order, so this holds at most a few hundred.
    this.#unfiltered.set(key, view);
    return view;
  }
}

/** A view with `crossing` or numbered events remembers things: one instance per socket, never shared. */
export function createFeedView(options: FeedViewOptions): View {
  const { filter, includes, dialect } = options;
  const matches = filter && compileFilter(filter, dialect);
  const crossing = filter?.crossing ? new CrossingDetector(filter.crossing, dialect) : undefined;
  const isNumbered = includes.includes("cursor");
  const hasTail = includes.some((name) => name !== "cursor");
  const isPlain = includes.length === 0 && dialect === 1;
  const isShared = crossing === undefined && !isNumbered;

  const wanted = (entry: LogEntry, output: number, notBeforeMs: number | undefined): boolean => {
    if (matches === null && crossing === undefined && notBeforeMs === undefined) return true;
    const ext = entry.ext<LabelExt>(output);
    // Before the other conditions: it has to see every event.
    if (crossing && !crossing.observe(ext)) return false;
    if (notBeforeMs !== undefined && ext.ts < notBeforeMs) return false;
    return matches === null || matches(ext);
  };

  const renderPlain = (entry: LogEntry, outputs: readonly number[]): Rendered => {
    let bytes = 0;
    for (const output of outputs) bytes += entry.wireEnd(output) - entry.wireStart(output) + 4;
    const writer = new FrameWriter(bytes);
    for (const output of outputs) writer.addBytes(entry.body, entry.wireStart(output), entry.wireEnd(output));
    return writer.finish();
  };

  const renderRich = (entry: LogEntry, outputs: readonly number[], { lineage }: RenderOptions): Rendered => {
    const writer = new FrameWriter(outputs.length * TYPICAL_EVENT_BYTES);
    for (const output of outputs) {
      let tail = "";
      if (isNumbered) {
        lineage.count++;
        const isLast = output + 1 === entry.outputs;
        const behind = isLast ? { next: entry.seq + 1, at: 0 } : { next: entry.seq, at: output + 1 };
        tail = cursorTail(lineage.cursorAt(behind, lineage.count), lineage.count);
      }
      if (hasTail) tail += includeTail(includes, entry.ext<LabelExt>(output), entry.timeMs);
      if (dialect === 1) writer.addSpliced(entry.body, entry.wireStart(output), entry.wireEnd(output), tail);
      else writer.addText(`${toDialect2(entry.wireText(output), entry.ext<LabelExt>(output)).slice(0, -1)}${tail}}`);
    }
    return writer.finish();
  };

  return {
    shareKey: isShared ? JSON.stringify([dialect, includes, filterToWire(filter)]) : undefined,
    render(entry, keyIndex, renderOptions) {
      const outputs: number[] = [];
      for (let output = renderOptions.from; output < entry.outputs; output++) {
        if (entry.keyIndexOf(output) === keyIndex && wanted(entry, output, renderOptions.notBeforeMs)) outputs.push(output);
      }
      if (outputs.length === 0) return NOTHING;
      return isPlain ? renderPlain(entry, outputs) : renderRich(entry, outputs, renderOptions);
    },
  };
}
