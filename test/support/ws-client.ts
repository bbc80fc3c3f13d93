/**
 * A WebSocket client on a raw socket: handshake, unmasking-free server frames, masked control answers. Two readers on top: one that
 * counts bytes and frames only (cheap enough for a thousand sockets in one process) and one that hands out whole texts.
 * Touches one TCP socket. The fault harness relies on it sharing no code with the product.
 */
import { randomBytes } from "node:crypto";
import net from "node:net";

export interface WsHandlers {
  /** Status line and headers of a refused upgrade. */
  onRefused?: (status: number, body: string) => void;
  onOpen?: () => void;
  /** One text or binary message; the buffer is only valid during the call. */
  onMessage?: (payload: Buffer) => void;
  /** Gets every byte after the handshake instead of `onMessage`; then nobody answers a close or ping frame. */
  onBytes?: (chunk: Buffer) => void;
  /** Called once, after a close frame or when the socket ended. Code 1006 = no close frame. */
  onClose: (code: number, reason: string) => void;
}

export interface WsClient {
  send(text: string): void;
  /** Stops or resumes reading from the socket (slow reader). */
  pause(): void;
  resume(): void;
  /** While paused: takes one chunk from the socket. */
  readOnce(): void;
  /** Sends a close frame; `terminate` just drops the connection. */
  close(): void;
  terminate(): void;
  readonly bytesRead: number;
}

export function connectWs(
  options: { host: string; port: number; path: string; headers?: Record<string, string> },
  on: WsHandlers,
): WsClient {
  const socket = net.connect({ host: options.host, port: options.port, noDelay: true });
  const extra = Object.entries(options.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(
    `GET ${options.path} HTTP/1.1\r\nHost: ${options.host}:${options.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\nSec-WebSocket-Version: 13\r\n${extra.join("")}\r\n`,
  );
  let open = false;
  let refused = false;
  let closed = false;
  let rest: Buffer = Buffer.alloc(0);
  const end = (code: number, reason: string): void => {
    if (closed) return;
    closed = true;
    socket.destroy();
    if (!refused) on.onClose(code, reason);
  };
  const frames =
    on.onBytes ??
    frameReader({
      onMessage: (payload) => on.onMessage?.(payload),
      onPing: (payload) => socket.write(maskedFrame(0x8a, payload)),
      onClose: (code, reason) => {
        socket.write(maskedFrame(0x88, Buffer.alloc(0)));
        end(code, reason);
      },
    });
  socket.on("data", (chunk: Buffer) => {
    if (open) return frames(chunk);
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const head = rest.indexOf("\r\n\r\n");
    if (head === -1) return;
    const status = Number(rest.toString("latin1", 9, 12));
    if (status !== 101) {
      refused = true;
      on.onRefused?.(status, rest.toString("utf8", head + 4));
      if (!on.onRefused) on.onClose(1006, `refused with ${status}`);
      end(1006, "");
      return;
    }
    open = true;
    on.onOpen?.();
    const after = rest.subarray(head + 4);
    rest = Buffer.alloc(0);
    if (after.length > 0) frames(after);
  });
  socket.on("error", () => end(1006, "socket error"));
  socket.on("close", () => end(1006, "socket closed"));
  return {
    send: (text) => void socket.write(maskedFrame(0x81, Buffer.from(text))),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    readOnce: () => {
      socket.once("data", () => socket.pause());
      socket.resume();
    },
    close: () => void socket.write(maskedFrame(0x88, Buffer.from([0x03, 0xe8]))),
    terminate: () => end(1006, "terminated"),
    get bytesRead() {
      return socket.bytesRead;
    },
  };
}

/** Incremental reader of unmasked, unfragmented frames. Carries at most one incomplete frame. */
export function frameReader(on: {
  onMessage: (payload: Buffer) => void;
  onPing?: (payload: Buffer) => void;
  onClose?: (code: number, reason: string) => void;
}): (chunk: Buffer) => void {
  let carry: Buffer[] = [];
  let carried = 0;
  let needed = 2;
  return (chunk) => {
    let data = chunk;
    if (carried > 0) {
      carry.push(chunk);
      carried += chunk.length;
      if (carried < needed) return;
      data = Buffer.concat(carry, carried);
      carry = [];
      carried = 0;
    }
    let at = 0;
    for (;;) {
      const left = data.length - at;
      if (left < 2) {
        needed = 2;
        break;
      }
      let length = (data[at + 1] ?? 0) & 0x7f;
      let header = 2;
      if (length === 126) {
        header = 4;
        if (left < 4) {
          needed = 4;
          break;
        }
        length = data.readUInt16BE(at + 2);
      } else if (length === 127) {
        header = 10;
        if (left < 10) {
          needed = 10;
          break;
        }
        length = Number(data.readBigUInt64BE(at + 2));
      }
      if (left < header + length) {
        needed = header + length;
        break;
      }
      const opcode = (data[at] ?? 0) & 0x0f;
      const payload = data.subarray(at + header, at + header + length);
      at += header + length;
      if (opcode === 1 || opcode === 2) on.onMessage(payload);
      else if (opcode === 9) on.onPing?.(payload);
      else if (opcode === 8) {
        on.onClose?.(payload.length >= 2 ? payload.readUInt16BE(0) : 1005, payload.toString("utf8", 2));
        return;
      }
    }
    if (at < data.length) {
      // Copied, because the socket's buffer is shared with the next read.
      carry = [Buffer.from(data.subarray(at))];
      carried = data.length - at;
    }
  };
}

function maskedFrame(firstByte: number, payload: Buffer): Buffer {
  const length = payload.length;
  const header = length < 126 ? Buffer.from([firstByte, 0x80 | length]) : Buffer.from([firstByte, 0x80 | 126, length >> 8, length & 0xff]);
  const mask = randomBytes(4);
  const masked = Buffer.from(payload);
  for (let i = 0; i < length; i++) masked[i] = (masked[i] ?? 0) ^ (mask[i & 3] ?? 0);
  return Buffer.concat([header, mask, masked]);
}
