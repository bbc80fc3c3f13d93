/** IP addresses and CIDR ranges as numbers: which peer is a configured proxy. Pure. Tests: small-rules.test.ts. */

/** 16 bytes; IPv4 as `::ffff:a.b.c.d`. Undefined when it is not an address. */
export function addressBytes(text: string): Uint8Array | undefined {
  const bare = text.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  const dotted = /^(?:::ffff:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/i.exec(bare);
  if (dotted) {
    const octets = dotted.slice(1).map(Number);
    if (octets.some((octet) => octet > 255)) return undefined;
    return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...octets]);
  }
  const halves = bare.split("::");
  if (!bare.includes(":") || halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  const head = groups[0] ?? [];
  const tail = groups[1] ?? [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const bytes = new Uint8Array(16);
  const all = [...head, ...Array.from({ length: missing }, () => "0"), ...tail];
  for (const [i, part] of all.entries()) {
    if (!/^[0-9a-f]{1,4}$/i.test(part)) return undefined;
    const value = Number.parseInt(part, 16);
    bytes[i * 2] = value >> 8;
    bytes[i * 2 + 1] = value & 0xff;
  }
  return bytes;
}

export interface AddressRange {
  bytes: Uint8Array;
  /** Leading bits that must be equal, of 128. */
  bits: number;
}

/** `10.0.0.0/8`, `2001:db8::/32` or a single address. Throws RangeError for anything else. */
export function parseRange(text: string): AddressRange {
  const [address = "", length] = text.split("/");
  const bytes = addressBytes(address);
  const width = address.includes(":") ? 128 : 32;
  const prefix = length === undefined ? width : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (!bytes || !(prefix <= width)) throw new RangeError(`not an address range: ${text}`);
  return { bytes, bits: prefix + (128 - width) };
}

export function inRanges(address: string | undefined, ranges: readonly AddressRange[]): boolean {
  if (address === undefined || ranges.length === 0) return false;
  const bytes = addressBytes(address);
  return bytes !== undefined && ranges.some((range) => matches(bytes, range));
}

function matches(bytes: Uint8Array, range: AddressRange): boolean {
  const whole = range.bits >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== range.bytes[i]) return false;
  const rest = range.bits & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((bytes[whole] ?? 0) & mask) === ((range.bytes[whole] ?? 0) & mask);
}

/** The range lies within this machine: 127.0.0.0/8 or ::1. */
export function isLoopback(range: AddressRange): boolean {
  return LOOPBACK.some((own) => range.bits >= own.bits && matches(range.bytes, own));
}

const LOOPBACK = [parseRange("127.0.0.0/8"), parseRange("::1")] as const;
