/** Raw bytes on an open socket: whatever arrives, the answer is a close code of RFC 6455, never a crash, and other sockets do not notice. */
import net from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EdgeFixture, type RunningEdge, startEdgeFixture } from "./testing/edge-fixture.ts";
import { type FeedSocket, openFeed } from "./testing/feed-socket.ts";

let fixture: EdgeFixture;
let edge: RunningEdge;
let witness: FeedSocket;

beforeAll(async () => {
  fixture = await startEdgeFixture();
  fixture.addKey("key", "acme");
  edge = await fixture.startEdge({ config: { EDGE_TERMINATE_AFTER_MS: 100 } });
  witness = await openFeed(`${edge.url}/v1/signals/stream?key=key`);
});
afterAll(async () => {
  await witness.close();
  await fixture.stop();
});

/** A masked client frame. */
function frame(opcode: number, payload: Buffer, options: { fin?: boolean; masked?: boolean; rsv?: number; length?: number } = {}): Buffer {
  const { fin = true, masked = true, rsv = 0, length = payload.length } = options;
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const mask = masked ? 0x80 : 0;
  if (length < 126) head.push(mask | length);
  else if (length < 65_536) head.push(mask | 126, length >> 8, length & 255);
  else head.push(mask | 127, 0, 0, 0, 0, (length >>> 24) & 255, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);
  const key = Buffer.from([1, 2, 3, 4]);
  const body = masked ? Buffer.from(payload.map((byte, i) => byte ^ (key[i % 4] ?? 0))) : payload;
  return Buffer.concat([Buffer.from(head), ...(masked ? [key] : []), body]);
}

/** Sends bytes after the handshake. @returns the close code the server sent, or "open" when it answered a ping instead. */
async function closeCodeFor(bytes: Buffer, options: { endAfter?: boolean } = {}): Promise<number | "open" | "cut"> {
  const socket = net.connect(edge.port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(
    "GET /signals/stream?key=key HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  let received = Buffer.alloc(0);
  let isUpgraded = false;
  return new Promise((resolve) => {
    const finish = (result: number | "open" | "cut"): void => {
      socket.destroy();
      resolve(result);
    };
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (!isUpgraded) {
        const end = received.indexOf("\r\n\r\n");
        if (end === -1) return;
        isUpgraded = true;
        received = received.subarray(end + 4);
        socket.write(bytes);
        if (options.endAfter) socket.end();
        else socket.write(frame(0x1, Buffer.from('{"type":"ping","timestamp":"probe"}')));
      }
      for (let next = readFrame(received); next; next = readFrame(received)) {
        received = received.subarray(next.size);
        if (next.opcode === 0x8) return finish(next.payload.length >= 2 ? next.payload.readUInt16BE(0) : 1005);
        if (next.payload.includes('"probe"')) return finish("open");
      }
    });
    socket.on("close", () => finish("cut"));
  });
}

function readFrame(bytes: Buffer): { opcode: number; payload: Buffer; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & 0x7f;
  const head = short === 126 ? 4 : 2;
  if (bytes.length < head) return undefined;
  const length = short === 126 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < head + length) return undefined;
  return { opcode: (bytes[0] ?? 0) & 15, payload: bytes.subarray(head, head + length), size: head + length };
}

describe("framing", () => {
  const text = (value: string) => Buffer.from(value);
  it.each<[string, Buffer, number | "open"]>([
    ["unmasked frame", frame(1, text("{}"), { masked: false }), 1002],
    ["reserved bit", frame(1, text("{}"), { rsv: 4 }), 1002],
    ["unknown opcode", frame(3, text("")), 1002],
    ["unknown control opcode", frame(11, text("")), 1002],
    ["fragmented ping", frame(9, text("a"), { fin: false }), 1002],
    ["ping over 125 bytes", frame(9, Buffer.alloc(126)), 1002],
    ["continuation without a start", frame(0, text("{}")), 1002],
    ["new message inside a message", Buffer.concat([frame(1, text("{"), { fin: false }), frame(1, text("}"))]), 1002],
    ["invalid UTF-8", frame(1, Buffer.from([0xc3, 0x28])), 1007],
    ["lone surrogate in UTF-8", frame(1, Buffer.from([0xed, 0xa0, 0x80])), 1007],
    ["too big by header alone", frame(1, Buffer.alloc(0), { length: 16_385 }), 1009],
    ["too big by 64-bit header", frame(1, Buffer.alloc(0), { length: 2 ** 31 - 1 }), 1009],
    ["too big in fragments", Buffer.concat([frame(1, Buffer.alloc(10_000), { fin: false }), frame(0, Buffer.alloc(10_000))]), 1009],
    [
      "many empty fragments",
      Buffer.concat([frame(1, text(""), { fin: false }), ...Array.from({ length: 200 }, () => frame(0, text(""), { fin: false }))]),
      1008,
    ],
    ["close with one byte", frame(8, Buffer.from([3])), 1002],
    ["close with a reserved code", frame(8, Buffer.from([0x03, 0xec])), 1002],
    ["close 1000", frame(8, Buffer.from([0x03, 0xe8])), 1000],
    ["empty close", frame(8, text("")), 1005],
    ["unsolicited pong", frame(10, text("x")), "open"],
    ["ping", frame(9, text("x")), "open"],
    ["fragmented text", Buffer.concat([frame(1, text('{"type":'), { fin: false }), frame(0, text('"pong"}'))]), "open"],
    ["one malformed message", frame(1, text("{")), "open"],
    ["deep JSON", frame(1, text(`${"[".repeat(8_000)}${"]".repeat(8_000)}`)), "open"],
    ["__proto__", frame(1, text('{"type":"subscribe","filter":{"__proto__":{"isBot":true}}}')), "open"],
    ["lone surrogate escape", frame(1, text('{"type":"ping","timestamp":"\\ud800"}')), "open"],
  ])("%s", async (_name, bytes, expected) => {
    expect(await closeCodeFor(bytes)).toBe(expected);
  });
});

it("random frames and random bytes: a documented end, never a crash", async () => {
  const frames = fc
    .array(
      fc.record({
        opcode: fc.nat(15),
        payload: fc.uint8Array({ maxLength: 300 }),
        fin: fc.boolean(),
        masked: fc.boolean(),
        rsv: fc.nat(7),
      }),
      { minLength: 1, maxLength: 6 },
    )
    .map((list) => Buffer.concat(list.map((f) => frame(f.opcode, Buffer.from(f.payload), f))));
  const garbage = fc.uint8Array({ minLength: 1, maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  await fc.assert(
    fc.asyncProperty(fc.oneof(frames, garbage), async (bytes) => {
      const code = await closeCodeFor(bytes, { endAfter: true });
      expect(
        [1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1011, "cut"].includes(code) || (typeof code === "number" && code >= 3000),
      ).toBe(true);
    }),
    { numRuns: 300 },
  );
  await fixture.publish([{ tenant: "acme", ext: { v: "witness" } }]);
  await witness.received(1);
  expect(edge.service.health().status).toBe("up");
});

it("a flood of protocol pings is counted like messages", async () => {
  const pings = Buffer.concat(Array.from({ length: 60 }, () => frame(9, Buffer.from("x"))));
  expect(await closeCodeFor(pings)).toBe(1008);
});
