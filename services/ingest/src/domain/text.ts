/** Text limits: over-long text is cut, lone surrogates are replaced, because everything stored must be valid UTF-8. Pure. */

/** At most `max` UTF-16 units, never half of a pair, always well-formed. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text.toWellFormed();
  const last = text.charCodeAt(max - 1);
  const cut = last >= 0xd800 && last <= 0xdbff ? max - 1 : max;
  return text.slice(0, cut).toWellFormed();
}
