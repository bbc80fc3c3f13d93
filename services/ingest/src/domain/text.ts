/** Text limits: over-long text is cut, lone surrogates are replaced, because everything stored must be valid UTF-8. Pure. */

/** Longest piece of personal data that could stand at a cut. */
const MARGIN = 256;

/**
 * For text that is scrubbed and then clipped to `max`: long text is cut a little later and back at a boundary, so that no half of an
 * address is left that the scrubber would not recognise.
 */
export function clipForScrub(text: string, max: number): string {
  if (text.length <= max) return text.toWellFormed();
  const cut = clip(text, max + MARGIN);
  if (cut.length === text.length) return cut;
  for (let i = cut.length - 1; i >= cut.length - MARGIN; i--) {
    if (" \t\n/?&".includes(cut[i] ?? "")) return cut.slice(0, i);
  }
  return cut.slice(0, max);
}

/** At most `max` UTF-16 units, never half of a pair, always well-formed. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text.toWellFormed();
  const last = text.charCodeAt(max - 1);
  const cut = last >= 0xd800 && last <= 0xdbff ? max - 1 : max;
  return text.slice(0, cut).toWellFormed();
}
