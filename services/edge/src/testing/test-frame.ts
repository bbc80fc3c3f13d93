/** Frames of the SIGNALS stream for tests, the way `scoring` writes them. Never imported by product code. */
import { encodeFrame, type FrameHeader, type LabelExt } from "@headwater/protocol";
import { label } from "./labels.ts";

export interface TestOutput {
  tenant: string;
  ext?: Partial<LabelExt>;
}

export function testFrame(outputs: readonly TestOutput[], inSeq: number): string {
  const keys = [...new Set(outputs.map((output) => output.tenant))];
  const header: FrameHeader = { v: 1, family: "signals", gen: "g1", epoch: 1, in: inSeq, reg: 1, regs: [], n: outputs.length, keys };
  return encodeFrame(
    header,
    outputs.map((output) => {
      const { wire, ext } = label({ ...output.ext, k: keys.indexOf(output.tenant) });
      return { wire, ext: JSON.stringify(ext) };
    }),
  );
}
