/** `sample=`: a stable choice of whole visitors. Tests: small.test.ts. */
import { fnv1a32 } from "@headwater/protocol";

const RANGE = 2 ** 32;

/** @param share (0, 1]. The same visitor gets the same answer everywhere, and a larger share keeps every visitor of a smaller one. */
export function isSampled(visitorId: string, share: number): boolean {
  return fnv1a32(visitorId) / RANGE < share;
}
