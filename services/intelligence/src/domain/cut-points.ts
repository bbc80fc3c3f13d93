/** Cuts text by code points, so that no character is cut in half. Pure. Tests: memory.test.ts. */
export function cutPoints(text: string, points: number): string {
  if (text.length <= points) return text;
  // No more code points than units: nothing beyond twice the length can be needed.
  const all = [...text.slice(0, points * 2 + 1)];
  return all.length <= points ? text : all.slice(0, points).join("");
}
