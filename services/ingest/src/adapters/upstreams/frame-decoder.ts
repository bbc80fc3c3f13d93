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

/** Ends the parsing of a frame that has given all it may. */
class FrameFull extends Error {}

/** The first row of a connection names the columns; a repeated one is skipped. Values stay text, so that they keep their digits. */
function csvReader(): (text: string, into: Decoded) => void {
  let columns: string[] | undefined;
  return (text, into) => {
    let names = columns;
    let [rows, chars] = [0, 0];
    const read = (row: string[]): null => {
      rows += 1;
      if (names === undefined) {
        if (row.length > MAX_COLUMNS || row.some((name) => name.length > MAX_NAME_CHARS)) throw new RangeError("not a header");
        names = row;
        return null;
      }
      if (row.length === names.length && row.every((value, i) => value === names?.[i])) return null;
      const json = JSON.stringify(Object.fromEntries(row.slice(0, names.length).map((value, i) => [names?.[i] ?? "", value])));
      chars += json.length;
      // Names repeat per row: a small frame could become a large one.
      if (chars > MAX_UPSTREAM_MESSAGE_BYTES || into.messages.length >= MAX_MESSAGES_PER_FRAME) throw new FrameFull();
      into.messages.push({ kind: "json", text: json });
      return null;
    };
    try {
      parseCsv(text, { relax_column_count: true, skip_empty_lines: true, trim: true, bom: true, on_record: read });
    } catch (error) {
      if (!(error instanceof FrameFull)) throw error;
      into.dropped.push("size");
    }
    // A frame that cannot be read names nothing.
    columns = names;
    if (rows === 0) into.dropped.push("empty");
  };
}
