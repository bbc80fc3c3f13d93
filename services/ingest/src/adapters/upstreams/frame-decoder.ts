/**
 * What an upstream sent → messages, by the feed's data format. Stateful where the format is: a CSV header counts for its connection. Never
 * throws on data; a broken schema is told when the decoder is made. Tests: frame-decoder.test.ts.
 */
import { gunzipSync } from "node:zlib";
import { MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import { parse as parseCsv } from "csv-parse/sync";
import { type Decoded, jsonLines, jsonOrText, MAX_MESSAGES_PER_FRAME, plainText } from "../../domain/upstream-message.ts";
import type { ConnectionSpec } from "./connector.ts";
import { createProtobufDecoder } from "./protobuf-decoder.ts";

export interface FrameDecoder {
  decode(
    data: Buffer | string,
    isBinary: boolean,
  ): Decoded & { /** Bytes after unpacking, when there was anything to unpack. */ unpackedBytes: number };
}

/** One per connection. @throws BadSchema */
export function createFrameDecoder(
  spec: Pick<ConnectionSpec, "connectionType" | "dataFormat" | "protobufType" | "protobufSchema">,
): FrameDecoder {
  const isProtobuf = spec.dataFormat === "protobuf" || spec.connectionType === "protobuf";
  const text = isProtobuf ? jsonOrText : textReader(spec.dataFormat);
  const binary = isProtobuf ? createProtobufDecoder(spec.protobufSchema, spec.protobufType) : undefined;
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

  const read = (data: Buffer | string, isBinary: boolean, into: Decoded): number => {
    if (typeof data === "string") {
      text(data, into);
      return 0;
    }
    if (isBinary && binary !== undefined) {
      if (data.length === 0) into.dropped.push("empty");
      else into.messages.push({ kind: "json", text: binary(data) });
      return 0;
    }
    const isPacked = isBinary && data[0] === 0x1f && data[1] === 0x8b;
    const plain = isPacked ? gunzipSync(data, { maxOutputLength: MAX_UPSTREAM_MESSAGE_BYTES }) : data;
    text(utf8.decode(plain), into);
    return isPacked ? plain.length : 0;
  };
  return {
    decode(data, isBinary) {
      const decoded: Decoded = { messages: [], dropped: [] };
      try {
        return { ...decoded, unpackedBytes: read(data, isBinary, decoded) };
      } catch (error) {
        const isTooLarge = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
        return { messages: [], dropped: [isTooLarge ? "size" : "undecodable"], unpackedBytes: isTooLarge ? MAX_UPSTREAM_MESSAGE_BYTES : 0 };
      }
    },
  };
}

function textReader(format: ConnectionSpec["dataFormat"]): (text: string, into: Decoded) => void {
  if (format === "text") return plainText;
  if (format === "ndjson") return jsonLines;
  return format === "csv" ? csvReader() : jsonOrText;
}

const MAX_COLUMNS = 1_000;
const MAX_NAME_CHARS = 200;

/** The first row of a connection names the columns; a repeated one is skipped. Values stay text, so that they keep their digits. */
function csvReader(): (text: string, into: Decoded) => void {
  let columns: string[] | undefined;
  return (text, into) => {
    const rows = parseCsv(text, { relax_column_count: true, skip_empty_lines: true, trim: true, bom: true });
    if (rows.length === 0) into.dropped.push("empty");
    let chars = 0;
    for (const row of rows) {
      if (columns === undefined) {
        if (row.length > MAX_COLUMNS || row.some((name) => name.length > MAX_NAME_CHARS)) throw new RangeError("not a header");
        columns = row;
        continue;
      }
      if (row.length === columns.length && row.every((value, i) => value === columns?.[i])) continue;
      const json = JSON.stringify(Object.fromEntries(row.slice(0, columns.length).map((value, i) => [columns?.[i] ?? "", value])));
      chars += json.length;
      // Names repeat per row: a small frame could become a large one.
      if (chars > MAX_UPSTREAM_MESSAGE_BYTES || into.messages.length >= MAX_MESSAGES_PER_FRAME) return void into.dropped.push("size");
      into.messages.push({ kind: "json", text: json });
    }
  };
}
