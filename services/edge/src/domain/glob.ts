/** Path globs: `*` matches any run of characters, everything else itself. Linear scan without backtracking explosion. Tests: small.test.ts. */

export function compileGlobs(patterns: readonly string[]): (path: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes("*")));
  const globs = patterns.filter((pattern) => pattern.includes("*")).map((pattern) => pattern.split("*"));
  return (path) => exact.has(path) || globs.some((parts) => globMatches(parts, path));
}

/** @param parts literal pieces between the stars, at least two. Greedy leftmost matching of the inner pieces is enough for `*`. */
function globMatches(parts: readonly string[], path: string): boolean {
  const head = parts[0] ?? "";
  const tail = parts[parts.length - 1] ?? "";
  if (path.length < head.length + tail.length || !path.startsWith(head) || !path.endsWith(tail)) return false;
  let at = head.length;
  const end = path.length - tail.length;
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] ?? "";
    const found = path.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
