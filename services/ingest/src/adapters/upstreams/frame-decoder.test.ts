/** Data formats of upstreams; nothing an upstream sends makes a decoder throw. */
import { gzipSync } from "node:zlib";
import { decodeFeedLine, encodeFeedLine, MAX_UPSTREAM_MESSAGE_BYTES } from "@headwater/protocol";
import fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { createFrameDecoder, type FrameDecoder } from "./frame-decoder.ts";
import { BadSchema, MAX_SCHEMA_BYTES } from "./protobuf-decoder.ts";

const decoder = (dataFormat: "json" | "text" | "ndjson" | "csv" | "protobuf", more: object = {}): FrameDecoder =>
  createFrameDecoder({ connectionType: "websocket", dataFormat, ...more });
const texts = (found: FrameDecoder, data: Buffer | string, isBinary = false): string[] =>
  found.decode(data, isBinary).messages.map(({ text }) => text);

const SCHEMA = `
  syntax = "proto3"; package feed.v1;
  enum Side { NONE = 0; BUY = 1; }
  message Trade { string symbol = 1; uint64 id = 2; double price = 3; Side side = 4; bytes raw = 5; repeated Level levels = 6; map<string, int32> m = 7; }
  message Level { sint32 depth = 1; }
`;

describe("json, text, ndjson", () => {
  it("reads text and binary frames alike, also packed ones", () => {
    expect(texts(decoder("json"), Buffer.from('{"a":1}'))).toEqual(['{"a":1}']);
    expect(texts(decoder("json"), Buffer.from('{"a":1}'), true)).toEqual(['{"a":1}']);
    const packed = decoder("json").decode(gzipSync('{"a":1}'), true);
    expect(packed).toEqual({ messages: [{ kind: "json", text: '{"a":1}' }], dropped: [], unpackedBytes: 7 });
    expect(texts(decoder("text"), Buffer.from('{"a":1}'))).toEqual(['{"a":1}']);
    expect(texts(decoder("ndjson"), '{"a":1}\n[2]\n')).toEqual(['{"a":1}', "[2]"]);
  });
  it("counts what is no UTF-8, empty or null", () => {
    expect(decoder("json").decode(Buffer.from([0xff, 0xfe]), true)).toMatchObject({ messages: [], dropped: ["undecodable"] });
    expect(decoder("json").decode(Buffer.alloc(0), false).dropped).toEqual(["empty"]);
    expect(decoder("json").decode(Buffer.from("null"), false).dropped).toEqual(["empty"]);
  });
  it("does not unpack more than a message may have", () => {
    const bomb = gzipSync(Buffer.alloc(MAX_UPSTREAM_MESSAGE_BYTES * 16));
    expect(bomb.length).toBeLessThan(100_000);
    expect(decoder("json").decode(bomb, true)).toEqual({ messages: [], dropped: ["size"], unpackedBytes: MAX_UPSTREAM_MESSAGE_BYTES });
  });
});

describe("csv", () => {
  it("names columns by the first row of the connection; values keep their digits", () => {
    const csv = decoder("csv");
    expect(texts(csv, 'sym, price\nBTC,1.50\n"a ""b""",12345678901234567890\n')).toEqual([
      '{"sym":"BTC","price":"1.50"}',
      '{"sym":"a \\"b\\"","price":"12345678901234567890"}',
    ]);
    expect(texts(csv, "sym,price\nETH,2\nshort\n")).toEqual(['{"sym":"ETH","price":"2"}', '{"sym":"short"}']);
    expect(texts(csv, "ETH,3,extra")).toEqual(['{"sym":"ETH","price":"3"}']);
    expect(csv.decode("", false).dropped).toEqual(["empty"]);
    expect(csv.decode('"open', false).dropped).toEqual(["undecodable"]);
    expect(texts(decoder("csv"), "__proto__,a\n1,2\n")).toEqual(['{"__proto__":"1","a":"2"}']);
  });
  it("takes no names from a frame that cannot be read", () => {
    const csv = decoder("csv");
    expect(csv.decode('bad,names\n1,2\n"open', false)).toEqual({ messages: [], dropped: ["undecodable"], unpackedBytes: 0 });
    expect(texts(csv, "sym\nBTC\n")).toEqual(['{"sym":"BTC"}']);
  });
  it("cannot be made to grow", () => {
    const csv = decoder("csv");
    csv.decode(Array.from({ length: 1_000 }, (_, i) => "n".repeat(190) + i).join(","), false);
    const row = `${"x,".repeat(999)}x\n`;
    const { messages, dropped } = csv.decode(row.repeat(2_000), false);
    expect(messages.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThanOrEqual(MAX_UPSTREAM_MESSAGE_BYTES);
    expect(dropped).toEqual(["size"]);
    // Nor to read on when it has given all it may: what comes then is no CSV at all.
    expect(csv.decode(`${row.repeat(30)}"open`, false)).toEqual({ messages, dropped, unpackedBytes: 0 });
    expect(decoder("csv").decode(`${"n".repeat(201)}\nx\n`, false).dropped).toEqual(["undecodable"]);
  });
});

describe("protobuf (W37)", () => {
  const proto = { protobufSchema: SCHEMA, protobufType: "feed.v1.Trade" };
  const type = protobuf.parse(SCHEMA).root.lookupType("feed.v1.Trade");
  it("decodes binary messages to JSON", () => {
    const value = {
      symbol: "BTC",
      id: "18446744073709551615",
      price: 1.5,
      side: 1,
      raw: Buffer.from("hi"),
      levels: [{ depth: -3 }],
      m: { a: 7 },
    };
    const data = Buffer.from(type.encode(type.fromObject(value)).finish());
    const [message] = decoder("protobuf", proto).decode(data, true).messages;
    expect(JSON.parse(message?.text ?? "")).toEqual({
      symbol: "BTC",
      id: "18446744073709551615",
      price: 1.5,
      side: "BUY",
      raw: "aGk=",
      levels: [{ depth: -3 }],
      m: { a: 7 },
    });
    const byType = createFrameDecoder({ connectionType: "protobuf", dataFormat: "json", ...proto });
    expect(texts(byType, data, true)).toEqual([message?.text]);
    expect(texts(byType, '{"ack":true}')).toEqual(['{"ack":true}']);
  });
  it("counts what is no such message", () => {
    expect(decoder("protobuf", proto).decode(Buffer.from([0x0a, 0xff]), true).dropped).toEqual(["undecodable"]);
    expect(decoder("protobuf", proto).decode(Buffer.alloc(0), true).dropped).toEqual(["empty"]);
  });
  it.each([
    ["no schema", undefined, "T"],
    ["no type", SCHEMA, undefined],
    ["an unknown type", SCHEMA, "feed.v1.Nothing"],
    ["no proto at all", "{}{}{", "T"],
    ["an unresolved import", 'syntax="proto3"; import "/etc/passwd"; message T { other.X x = 1; }', "T"],
    ["a huge schema", `message T {}${" ".repeat(MAX_SCHEMA_BYTES)}`, "T"],
    ["deep nesting", `${"message M {".repeat(40)}${"}".repeat(40)}`, "M"],
    ["a type that is an enum", SCHEMA, "feed.v1.Side"],
  ])("refuses %s", (_what, protobufSchema, protobufType) => {
    expect(() => decoder("protobuf", { protobufSchema, protobufType })).toThrow(BadSchema);
  });
  it("reads the largest schema in bounded time", () => {
    const fields = Array.from({ length: 2_500 }, (_, i) => `repeated int32 f${i}=${i + 1};`).join("");
    const schemas = [
      `syntax="proto3"; message T {${fields}}`,
      `message T {${"oneof o{}".repeat(6_000)}}`,
      `/*${"*".repeat(60_000)}`,
      '"'.repeat(60_000),
    ];
    const begin = process.cpuUsage();
    for (const protobufSchema of schemas) {
      try {
        decoder("protobuf", { protobufSchema: protobufSchema.slice(0, MAX_SCHEMA_BYTES), protobufType: "T" });
      } catch (error) {
        expect(error).toBeInstanceOf(BadSchema);
      }
    }
    const { user, system } = process.cpuUsage(begin);
    expect((user + system) / 1_000).toBeLessThan(5_000);
  });
});

describe("any bytes (W1)", () => {
  it("become messages of the log or counted drops, never an exception", () => {
    const nasty = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
      fc
        .constantFrom("null", "[null]", '"\u2028"', '{"a":1}{"b":2}', '{"__proto__":null}', "\ufeff{}", '"\\ud800"', "-0", "1e999")
        .map((text) => Buffer.from(text)),
    );
    const proto = { protobufSchema: SCHEMA, protobufType: "feed.v1.Trade" };
    const decoders = [decoder("json"), decoder("text"), decoder("ndjson"), decoder("csv"), decoder("protobuf", proto)];
    fc.assert(
      fc.property(nasty, fc.boolean(), fc.constantFrom(...decoders), (bytes, isBinary, found) => {
        const { messages, dropped } = found.decode(Buffer.from(bytes), isBinary);
        for (const { kind, text } of messages) {
          const header = { feedId: "f", epoch: 1, n: 1, ts: 1 };
          const line = encodeFeedLine(kind === "json" ? { ...header, kind, json: text } : { ...header, kind, text });
          expect(line).not.toContain("\n");
          expect(decodeFeedLine(line)).toEqual(kind === "json" ? { ...header, kind, json: text } : { ...header, kind, text });
          if (kind === "json") expect(JSON.parse(text)).not.toBeNull();
        }
        expect(messages.length + dropped.length).toBeGreaterThanOrEqual(found === decoders[3] ? 0 : 1);
      }),
      { numRuns: 2_000 },
    );
  });
  it("deep JSON costs no stack", () => {
    const deep = "[".repeat(1_000_000) + "]".repeat(1_000_000);
    expect(decoder("json").decode(deep, false).messages).toHaveLength(1);
  });
});
