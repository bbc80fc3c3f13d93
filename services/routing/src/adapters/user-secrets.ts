/**
 * Secrets of an account as the writers of its feeds need them: sealing, and reading in their transaction. A feed is written under the shared
 * lock of its owner's secrets, a secret under the exclusive one, and that lock is taken before the row of any feed: a feed is never
 * stored with a value that is just being replaced or deleted, and nobody waits in a circle. Tests: user-secrets.test.ts,
 * ../marketplace-secrets.int.test.ts.
 */
import type { SealedBox } from "@headwater/protocol";
import { CannotUnseal, type Logger, type Sealer } from "@headwater/runtime";
import { eq, sql } from "drizzle-orm";
import type { FeedContent } from "../domain/feed-content.ts";
import { type Resolved, resolveSecrets, secretNamesIn } from "../domain/secret-references.ts";
import { feeds, userSecrets } from "./db-schema.ts";
import type { Db } from "./transaction.ts";

const LOCK = "routing.secrets.";

export interface SecretVault {
  seal(userId: string, name: string, value: string): SealedBox;
  /** Undefined when it cannot be opened any more (ENCRYPTION_KEY is another one), which is logged: its owner can set it again. */
  open(userId: string, name: string, sealed: SealedBox): string | undefined;
}

export function createSecretVault(sealer: Sealer, log: Logger): SecretVault {
  const contextOf = (userId: string, name: string): string => `secret:${userId}:${name}`;
  return {
    seal: (userId, name, value) => sealer.seal(value, contextOf(userId, name)),
    open(userId, name, sealed) {
      try {
        return sealer.unseal(sealed, contextOf(userId, name));
      } catch (error) {
        if (!(error instanceof CannotUnseal)) throw error;
        log.error({ err: error, userId, secret: name }, "routing.secret_unreadable");
        return undefined;
      }
    },
  };
}

/** Until the transaction ends. */
export async function lockSecrets(db: Db, userId: string, mode: "shared" | "exclusive"): Promise<void> {
  const key = sql`hashtext(${LOCK + userId})`;
  await db.execute(mode === "shared" ? sql`SELECT pg_advisory_xact_lock_shared(${key})` : sql`SELECT pg_advisory_xact_lock(${key})`);
}

/** The shared lock of whoever owns the feed; none when there is no such feed. An owner never changes. */
export async function lockSecretsOf(db: Db, feedId: string): Promise<void> {
  await db.execute(
    sql`SELECT pg_advisory_xact_lock_shared(hashtext(${LOCK} || ${feeds.userId})) FROM ${feeds} WHERE ${eq(feeds.id, feedId)}`,
  );
}

/** Those of these names that the account has and that can be read. */
export async function readSecrets(db: Db, vault: SecretVault, userId: string, names: ReadonlySet<string>): Promise<Map<string, string>> {
  // An account has few secrets, a request may have any number of names.
  const rows = names.size === 0 ? [] : await db.select().from(userSecrets).where(eq(userSecrets.userId, userId));
  const values = new Map<string, string>();
  for (const { name, sealed } of rows) {
    const value = names.has(name) ? vault.open(userId, name, sealed) : undefined;
    if (value !== undefined) values.set(name, value);
  }
  return values;
}

/** The credentials of a feed of this account with its secrets in them; reads nothing when there is no reference. */
export async function resolveFor(db: Db, vault: SecretVault, userId: string, content: FeedContent): Promise<Resolved> {
  return resolveSecrets(content, await readSecrets(db, vault, userId, new Set(secretNamesIn(content.secrets))));
}
