/**
 * Append-only files of a fault run, one line per fact, written before anything that depends on it. They are the only thing the checker
 * reads, so that it judges what was seen and not what somebody believes. Times are µs of the host's monotonic clock.
 *
 * Generator ledger: `S <id> <µs>` before an event is sent for the first time, `A <id> <µs>` after its 2xx, `X <id> <status>` when it was refused for good.
 * Sink record: `E <client> <id> <seq> <µs>` an event, `G <client> <text>` a gap told by the feed, `C <client> <code> <µs>` a closed connection.
 */
import fs from "node:fs";

export interface AppendFile {
  /** Written when the call returns (to the kernel; the harness itself is not what is being killed). */
  line(text: string): void;
  lines(texts: readonly string[]): void;
  close(): void;
}

export function openAppend(file: string): AppendFile {
  const descriptor = fs.openSync(file, "a");
  return {
    line: (text) => void fs.writeSync(descriptor, `${text}\n`),
    lines: (texts) => {
      if (texts.length > 0) fs.writeSync(descriptor, `${texts.join("\n")}\n`);
    },
    close: () => fs.closeSync(descriptor),
  };
}
