/**
 * Counts the large WebSocket messages in a byte stream without touching their payloads: no allocation per frame, so that one process can be the
 * sink of a thousand sockets. Pure.
 */
export interface FrameCounter {
  feed(chunk: Uint8Array): void;
  /** Text and binary messages of 126 bytes and more seen so far: events and `hello`, but not heartbeats. */
  large(): number;
}

export function createFrameCounter(): FrameCounter {
  let large = 0;
  /** Payload bytes of the current frame still to come. */
  let skip = 0;
  /** Header bytes of a frame that started in an earlier chunk. */
  const header = new Uint8Array(10);
  let have = 0;
  return {
    large: () => large,
    feed(chunk) {
      let at = 0;
      const length = chunk.length;
      while (at < length) {
        if (skip > 0) {
          const step = Math.min(skip, length - at);
          skip -= step;
          at += step;
          continue;
        }
        // The common case: the whole header is in this chunk.
        if (have === 0 && length - at >= 10) {
          const second = chunk[at + 1] ?? 0;
          if (second < 126) {
            skip = second;
            at += 2;
            continue;
          }
          if (second === 126) {
            skip = ((chunk[at + 2] ?? 0) << 8) | (chunk[at + 3] ?? 0);
            if (isMessage(chunk[at] ?? 0)) large++;
            at += 4;
            continue;
          }
        }
        header[have++] = chunk[at++] ?? 0;
        if (have < 2) continue;
        const second = header[1] ?? 0;
        const size = second < 126 ? 2 : second === 126 ? 4 : 10;
        if (have < size) continue;
        skip =
          size === 2
            ? second
            : size === 4
              ? ((header[2] ?? 0) << 8) | (header[3] ?? 0)
              : Number(new DataView(header.buffer).getBigUint64(2));
        if (size > 2 && isMessage(header[0] ?? 0)) large++;
        have = 0;
      }
    },
  };
}

function isMessage(firstByte: number): boolean {
  const opcode = firstByte & 0x0f;
  return opcode === 1 || opcode === 2;
}
