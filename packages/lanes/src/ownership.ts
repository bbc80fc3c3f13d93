/** Who should own which lane: rendezvous hashing with an equal share for everyone. Pure; tests: ownership.test.ts. */
import { fnv1a32 } from "@headwater/protocol";

/**
 * @returns owner per lane. Every member gets `⌊lanes/members⌋` or one more; the same members give the same answer everywhere,
 * and a change of one member moves few lanes of others.
 */
export function desiredOwners(members: readonly string[], laneCount: number): (string | undefined)[] {
  const sorted = [...new Set(members)].sort();
  const owners: (string | undefined)[] = Array.from({ length: laneCount }, () => undefined);
  if (sorted.length === 0) return owners;
  const pairs: { lane: number; member: string; score: number }[] = [];
  for (let lane = 0; lane < laneCount; lane++) {
    for (const member of sorted) pairs.push({ lane, member, score: score(member, lane) });
  }
  pairs.sort((a, b) => b.score - a.score || a.lane - b.lane || (a.member < b.member ? -1 : 1));
  const load = new Map<string, number>();
  let bigShares = laneCount % sorted.length;
  const share = Math.floor(laneCount / sorted.length);
  for (const { lane, member } of pairs) {
    if (owners[lane] !== undefined) continue;
    const has = load.get(member) ?? 0;
    if (has > share || (has === share && bigShares === 0)) continue;
    if (has === share) bigShares--;
    owners[lane] = member;
    load.set(member, has + 1);
  }
  return owners;
}

/** FNV alone leaves neighbouring lanes correlated; the finaliser of MurmurHash3 spreads them. */
function score(member: string, lane: number): number {
  let h = fnv1a32(`${member}/${lane}`);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
