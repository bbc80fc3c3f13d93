/** Where a delivered message stands, from its acknowledgement subject. Pure; tests: delivery.test.ts. */

export interface Delivery {
  consumer: string;
  streamSeq: number;
  consumerSeq: number;
  /** Server time of storage, ms. */
  timeMs: number;
  pending: number;
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<ns>.<pending>` and the longer form
 * `$JS.ACK.<domain>.<account>.<stream>.<consumer>.…[.<token>]` (default since server 2.15). Anything else: undefined.
 */
export function parseDelivery(ackSubject: string): Delivery | undefined {
  const parts = ackSubject.split(".");
  if (parts[0] !== "$JS" || parts[1] !== "ACK") return undefined;
  const offset = parts.length === 9 ? 2 : parts.length >= 11 ? 4 : -1;
  if (offset === -1) return undefined;
  const consumer = parts[offset + 1];
  const nanoseconds = parts[offset + 5];
  if (consumer === undefined || nanoseconds === undefined || nanoseconds.length < 7) return undefined;
  return {
    consumer,
    streamSeq: Number(parts[offset + 3]),
    consumerSeq: Number(parts[offset + 4]),
    timeMs: Number(nanoseconds.slice(0, -6)),
    pending: Number(parts[offset + 6]),
  };
}
