/**
 * What a `/ws` subscription sees of a frame: the wire lines of its key as they are, or with a cursor behind them after `resume`.
 * Neither depends on the socket, so both are rendered once for everyone. Tests: feeds-resume.int.test.ts.
 */
import { parseFeedKey, type TopicExt } from "@headwater/protocol";
import type { CursorSeal } from "../../adapters/cursor-seal.ts";
import type { LogEntry } from "../../adapters/log-entry.ts";
import { FrameWriter, NOTHING } from "../../adapters/rfc6455.ts";
import type { View } from "../../adapters/subscriber.ts";
import { SURFACE_CODES } from "../../domain/cursor.ts";
import type { StreamPosition } from "../../domain/position.ts";

export interface FeedViews {
  plain: View;
  withCursor: View;
}

const CURSOR_BYTES = 96;

/** Cursors of a feed are good for everyone who may see it. */
export function feedCursorScope(feedId: string): string {
  return `feed:${feedId}`;
}

/** @param logId identity of the log the cursors are about. */
export function createFeedViews(seal: CursorSeal, logId: () => number): FeedViews {
  const cursorAt = (feedId: string, { next, at }: StreamPosition): string =>
    seal.seal(feedCursorScope(feedId), { surface: SURFACE_CODES.feeds, log: logId(), next, at, count: 0 });
  return {
    plain: {
      shareKey: "plain",
      render(entry, keyIndex, { from, notBeforeMs }) {
        const outputs = wanted(entry, keyIndex, from, notBeforeMs);
        if (outputs.length === 0) return NOTHING;
        const writer = new FrameWriter(sizeOf(entry, outputs, 10));
        for (const output of outputs) writer.addBytes(entry.body, entry.wireStart(output), entry.wireEnd(output));
        return writer.finish();
      },
    },
    withCursor: {
      shareKey: "cursor",
      render(entry, keyIndex, { from, notBeforeMs }) {
        const outputs = wanted(entry, keyIndex, from, notBeforeMs);
        if (outputs.length === 0) return NOTHING;
        const { feedId } = parseFeedKey(entry.keys[keyIndex] ?? "");
        const writer = new FrameWriter(sizeOf(entry, outputs, CURSOR_BYTES));
        for (const output of outputs) {
          const behind = output + 1 === entry.outputs ? { next: entry.seq + 1, at: 0 } : { next: entry.seq, at: output + 1 };
          const tail = `,"cursor":"${cursorAt(feedId, behind)}"`;
          writer.addSpliced(entry.body, entry.wireStart(output), entry.wireEnd(output), tail);
        }
        return writer.finish();
      },
    },
  };
}

function wanted(entry: LogEntry, keyIndex: number, from: number, notBeforeMs: number | undefined): readonly number[] {
  const outputs = entry.outputsOf(keyIndex);
  if (from === 0 && notBeforeMs === undefined) return outputs;
  return outputs.filter((output) => output >= from && (notBeforeMs === undefined || entry.ext<TopicExt>(output).ts >= notBeforeMs));
}

function sizeOf(entry: LogEntry, outputs: readonly number[], overhead: number): number {
  let bytes = 0;
  for (const output of outputs) bytes += entry.wireEnd(output) - entry.wireStart(output) + overhead;
  return bytes;
}
