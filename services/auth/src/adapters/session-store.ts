/**
 * Login sessions and who came when. Ending a session tells the registry in the same transaction, so that its token and its live sockets
 * end everywhere. Tests: ../accounts.int.test.ts.
 */
import { type SessionRecord } from "@headwater/protocol";
import { and, asc, desc, eq, gt, inArray, isNull, lt, ne, type SQL } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { MAX_SESSIONS, SESSION_LIFETIME_MS } from "../domain/account-rules.ts";
import { toEndedSession } from "./auth-store.ts";
import { loginActivity, sessions } from "./db-schema.ts";
import { newObjectId } from "./secrets.ts";
import { type Db, inTransaction, type StoreOptions, type Tell } from "./transaction.ts";

export type SessionRow = typeof sessions.$inferSelect;
export type ActivityRow = typeof loginActivity.$inferSelect;
export type EndReason = "logout" | "terminated" | "password_changed";

/** Where somebody comes from. */
export interface Origin {
  ipAddress: string;
  userAgent: string;
}

const ACTIVITY_KEPT_MS = 90 * 24 * 3_600_000;

/** Inside the caller's transaction. One session too many ends the oldest. */
export async function insertSession(
  db: Db,
  tell: Tell,
  owner: { userId: string; tenantId: string },
  origin: Origin,
  now: Date,
): Promise<{ id: string; ended: SessionRecord[] }> {
  const live = await db
    .select({ id: sessions.id })
    .from(sessions)
    .where(and(eq(sessions.userId, owner.userId), isLive(now)))
    .orderBy(asc(sessions.createdAt));
  const surplus = live.slice(0, Math.max(0, live.length - MAX_SESSIONS + 1)).map((row) => row.id);
  const ended = surplus.length === 0 ? [] : await endWhere(db, tell, inArray(sessions.id, surplus), "terminated", now);
  const id = newObjectId(now.getTime());
  await db.insert(sessions).values({
    ...owner,
    ...origin,
    id,
    createdAt: now,
    lastActiveAt: now,
    expiresAt: new Date(now.getTime() + SESSION_LIFETIME_MS),
  });
  return { id, ended };
}

/** Ends the live sessions that fit, inside the caller's transaction. */
export async function endWhere(db: Db, tell: Tell, where: SQL | undefined, reason: EndReason, now: Date): Promise<SessionRecord[]> {
  const rows = await db
    .update(sessions)
    .set({ revokedAt: now, revokedReason: reason })
    .where(and(where, isLive(now)))
    .returning();
  const records = rows.map(toEndedSession);
  for (const record of records) await tell("session.revoked", "session", record.id, record);
  return records;
}

function isLive(now: Date): SQL | undefined {
  return and(isNull(sessions.revokedAt), gt(sessions.expiresAt, now));
}

export class SessionStore {
  readonly #options: StoreOptions;
  constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** Live ones, the most recently used first. */
  async list(userId: string): Promise<SessionRow[]> {
    return await drizzle(this.#options.pool)
      .select()
      .from(sessions)
      .where(and(eq(sessions.userId, userId), isLive(this.#options.now())))
      .orderBy(desc(sessions.lastActiveAt), desc(sessions.id));
  }

  /** @returns undefined when the account has no such session; an ended one stays ended. */
  async end(userId: string, id: string, reason: EndReason): Promise<SessionRecord[] | undefined> {
    const mine = and(eq(sessions.userId, userId), eq(sessions.id, id));
    return await inTransaction(this.#options, async (db, tell) => {
      const [row] = await db.select({ id: sessions.id }).from(sessions).where(mine);
      return row && (await endWhere(db, tell, mine, reason, this.#options.now()));
    });
  }

  async endOthers(userId: string, keptId: string): Promise<SessionRecord[]> {
    return await inTransaction(this.#options, (db, tell) =>
      endWhere(db, tell, and(eq(sessions.userId, userId), ne(sessions.id, keptId)), "terminated", this.#options.now()),
    );
  }

  async touch(ids: string[], at: Date): Promise<void> {
    if (ids.length > 0) await drizzle(this.#options.pool).update(sessions).set({ lastActiveAt: at }).where(inArray(sessions.id, ids));
  }

  /** Newest first. */
  async activity(userId: string, limit: number): Promise<ActivityRow[]> {
    return await drizzle(this.#options.pool)
      .select()
      .from(loginActivity)
      .where(eq(loginActivity.userId, userId))
      .orderBy(desc(loginActivity.at), desc(loginActivity.id))
      .limit(limit);
  }

  /** Deletes expired sessions and old activity. */
  async prune(): Promise<void> {
    const db = drizzle(this.#options.pool);
    const now = this.#options.now();
    await db.delete(sessions).where(lt(sessions.expiresAt, now));
    await db.delete(loginActivity).where(lt(loginActivity.at, new Date(now.getTime() - ACTIVITY_KEPT_MS)));
  }
}
