import { expect, it } from "vitest";
import { createPasswordHasher, HashingBusy } from "./passwords.ts";

const hasher = await createPasswordHasher({ concurrency: 1, maxWaiting: 4 });

it("hashes with argon2id, salted, and tells the whole password apart", async () => {
  const long = "x".repeat(100);
  const [a, b] = [await hasher.hash(long), await hasher.hash(long)];
  expect(a).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  expect(a).not.toBe(b);
  expect([await hasher.verify(a, long), await hasher.verify(a, `${long.slice(1)}y`)]).toEqual([true, false]);
});

it("does the work of a comparison also for nobody, and says no", async () => {
  const stored = await hasher.hash("SecurePassword123!");
  const timeOf = async (hash: string | undefined): Promise<number> => {
    const begun = performance.now();
    expect(await hasher.verify(hash, "wrong-password")).toBe(false);
    return performance.now() - begun;
  };
  const [known, nobody]: [number[], number[]] = [[], []];
  for (let i = 0; i < 9; i++) {
    known.push(await timeOf(stored));
    nobody.push(await timeOf(undefined));
  }
  // Interleaved, and the best of each: only an answer without the hash would be this far off.
  expect(Math.min(...nobody)).toBeGreaterThan(Math.min(...known) * 0.5);
});

it("works on few at a time, lets few wait, and goes on afterwards", async () => {
  const many = await Promise.allSettled(Array.from({ length: 8 }, () => hasher.hash("SecurePassword123!")));
  const refused = many.filter((result) => result.status === "rejected");
  expect(refused.length).toBe(3);
  for (const { reason } of refused) expect(reason).toBeInstanceOf(HashingBusy);
  expect(await hasher.hash("SecurePassword123!")).toContain("argon2id");
});

it("gives its place back when a stored hash is damaged", async () => {
  await expect(hasher.verify("not a hash", "x")).rejects.toThrow();
  const all = await Promise.all(Array.from({ length: 5 }, () => hasher.hash("SecurePassword123!")));
  expect(all.length).toBe(5);
});
