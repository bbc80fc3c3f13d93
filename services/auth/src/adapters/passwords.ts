/**
 * Password hashes: argon2id (19 MiB, 2 passes, 1 lane), a few at a time, so that a flood of logins cannot take the memory or every core.
 * Tests: passwords.test.ts.
 */
import { hash, verify } from "@node-rs/argon2";

/** OWASP's first choice. `algorithm` 2 is argon2id. */
const COST = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** More wait already than could be served in reasonable time. */
export class HashingBusy extends Error {
  override readonly name = "HashingBusy";
}

export interface PasswordHasher {
  /** @throws HashingBusy */
  hash(password: string): Promise<string>;
  /**
   * Without a stored hash (nobody has this e-mail) the same work is done, and the answer is false.
   * @throws HashingBusy
   */
  verify(stored: string | undefined, password: string): Promise<boolean>;
}

export interface PasswordHasherOptions {
  concurrency: number;
  maxWaiting: number;
}

export async function createPasswordHasher(options: PasswordHasherOptions): Promise<PasswordHasher> {
  const nobodys = await hash(crypto.randomUUID(), COST);
  const waiting: (() => void)[] = [];
  let running = 0;
  const limited = async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= options.concurrency) {
      if (waiting.length >= options.maxWaiting) throw new HashingBusy("too many passwords wait to be hashed");
      // Whoever finishes hands its place over: `running` does not change.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
  return {
    hash: (password) => limited(() => hash(password, COST)),
    async verify(stored, password) {
      const fits = await limited(() => verify(stored ?? nobodys, password));
      return stored !== undefined && fits;
    },
  };
}
