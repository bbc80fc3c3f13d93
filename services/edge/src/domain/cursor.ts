/**
 * What a cursor says: a position in a surface's output stream and how many events its holder got so far.
 * Binary, 28 bytes; sealed per tenant by adapters/cursor-seal.ts. Tests: small.test.ts.
 */
import type { StreamPosition } from "./position.ts";

export interface CursorPayload extends StreamPosition {
  surface: SurfaceCode;
  /** Identity of the log (32 bits): a lost and recreated stream has another one. */
  log: number;
  /** Events delivered on this lineage up to the position. */
  count: number;
}

/** Four surfaces share the edge; a cursor of one is not a cursor of another. */
export const SURFACE_CODES = { signals: 1, feeds: 2 } as const;
export type SurfaceCode = (typeof SURFACE_CODES)[keyof typeof SURFACE_CODES];

const VERSION = 1;
export const CURSOR_PAYLOAD_BYTES = 26;

export function encodeCursor(cursor: CursorPayload): Uint8Array {
  const bytes = new Uint8Array(CURSOR_PAYLOAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, cursor.surface);
  view.setUint32(2, cursor.log);
  view.setBigUint64(6, BigInt(cursor.next));
  view.setUint32(14, cursor.at);
  view.setBigUint64(18, BigInt(cursor.count));
  return bytes;
}

/** undefined for another version, another surface or numbers out of range. */
export function decodeCursor(bytes: Uint8Array, surface: SurfaceCode): CursorPayload | undefined {
  if (bytes.length !== CURSOR_PAYLOAD_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const next = Number(view.getBigUint64(6));
  const count = Number(view.getBigUint64(18));
  if (view.getUint8(0) !== VERSION || view.getUint8(1) !== surface || next < 1) return undefined;
  if (!Number.isSafeInteger(next) || !Number.isSafeInteger(count)) return undefined;
  return { surface, log: view.getUint32(2), next, at: view.getUint32(14), count };
}
