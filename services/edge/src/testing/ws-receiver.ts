/** Takes unmasked server frames apart, for clients that read a raw socket. Never imported by product code. */
export class Receiver {
  #rest: Buffer = Buffer.alloc(0);
  readonly #onText: (text: string) => void;
  pings = 0;
  closeCode: number | undefined;

  constructor(onText: (text: string) => void) {
    this.#onText = onText;
  }

  take(chunk: Buffer): void {
    let bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    for (;;) {
      const short = (bytes[1] ?? 0) & 0x7f;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length < header) break;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      if (bytes.length < header + length) break;
      const opcode = (bytes[0] ?? 0) & 0x0f;
      const payload = bytes.subarray(header, header + length);
      if (opcode === 1) this.#onText(payload.toString("utf8"));
      else if (opcode === 9) this.pings++;
      else if (opcode === 8) this.closeCode = payload.readUInt16BE(0);
      bytes = bytes.subarray(header + length);
    }
    this.#rest = bytes;
  }
}
