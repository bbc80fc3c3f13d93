/**
 * Accounts in PostgreSQL: registration, login, passwords. An account, its tenant and the site `main` are one transaction; the index on the
 * e-mail decides who was first. Tests: ../accounts.int.test.ts.
 */
import { withTransaction } from "@headwater/postgres";
import type { SessionRecord, SiteRecord, TenantRecord } from "@headwater/protocol";
import { and, eq, ne } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { isEmail } from "../domain/account-rules.ts";
import { type Attempt, beginAttempt, clearAttempts, takeBackAttempt } from "./attempts.ts";
import { insertTenant } from "./auth-store.ts";
import { loginActivity, sessions, users } from "./db-schema.ts";
import { newObjectId } from "./secrets.ts";
import { endWhere, insertSession, type Origin } from "./session-store.ts";
import { inTransaction, type StoreOptions, violatedIndex } from "./transaction.ts";

export type UserRow = typeof users.$inferSelect;

export interface AccountStoreOptions extends StoreOptions {
  /** Domains of the site `main` of a new account. */
  defaultDomains: string[];
}

/**
 * What somebody logged in proves again. Counted apart: whoever can do one of them (enable a second factor of their own with a stolen token)
 * must not thereby forget failures at another (guessing the password).
 */
export type StepUpProof = "password" | "code" | "enable";

/** A login under way: counted, and in the account's activity as failed until it has succeeded. */
export interface OpenLogin {
  attempt: Extract<Attempt, { ok: true }>;
  user: UserRow | undefined;
  activityId: string | undefined;
}

export class AccountStore {
  readonly #options: AccountStoreOptions;
  constructor(options: AccountStoreOptions) {
    this.#options = options;
  }

  async load(userId: string): Promise<UserRow | undefined> {
    const [row] = await drizzle(this.#options.pool).select().from(users).where(eq(users.id, userId));
    return row;
  }

  async hasEmail(email: string): Promise<boolean> {
    const rows = await drizzle(this.#options.pool).select({ id: users.id }).from(users).where(eq(users.email, email));
    return rows.length > 0;
  }

  /** @returns undefined when somebody has this e-mail already. */
  async register(
    command: { email: string; name: string; passwordHash: string },
    origin: Origin,
  ): Promise<{ user: UserRow; sessionId: string; tenant: TenantRecord; site: SiteRecord } | undefined> {
    const now = this.#options.now();
    const id = newObjectId(now.getTime());
    try {
      return await inTransaction(this.#options, async (db, tell) => {
        // The registry is read by every service: it gets the account's id and display name, never its e-mail.
        const { tenant, site } = await insertTenant(db, tell, {
          slug: `acct-${id}`,
          ...(command.name === "" ? {} : { name: command.name }),
          plan: "free",
          ownerId: id,
          domains: this.#options.defaultDomains,
          now,
        });
        const [user] = await db
          .insert(users)
          .values({ ...command, id, tenantId: tenant.id, createdAt: now })
          .returning();
        if (!user) throw new Error("the account was not stored");
        const session = await insertSession(db, tell, { userId: id, tenantId: tenant.id }, origin, now);
        return { user, sessionId: session.id, tenant, site };
      });
    } catch (error) {
      if (violatedIndex(error) === "users_email_unique") return undefined;
      throw error;
    }
  }

  /** The same statements whether or not somebody has the e-mail, but for the one row of activity. */
  async beginLogin(email: string, origin: Origin): Promise<OpenLogin | { retryAfterMs: number }> {
    return await withTransaction(this.#options.pool, async (client) => {
      const attempt = await beginAttempt(client, this.#options, "login", email);
      if (!attempt.ok) return { retryAfterMs: attempt.retryAfterMs };
      const db = drizzle(client);
      // Text that PostgreSQL cannot hold is nobody's e-mail; the question is asked all the same.
      const [user] = await db
        .select()
        .from(users)
        .where(eq(users.email, isEmail(email) ? email : ""));
      const activityId = user && newObjectId(attempt.at.getTime());
      if (user && activityId !== undefined) {
        await db.insert(loginActivity).values({ ...origin, id: activityId, userId: user.id, success: false, at: attempt.at });
      }
      return { attempt, user, activityId };
    });
  }

  /** The password was right and the second factor was not given: neither a failure nor a login. */
  async takeBackLogin(login: OpenLogin): Promise<void> {
    await withTransaction(this.#options.pool, async (client) => {
      await takeBackAttempt(client, login.attempt);
      if (login.activityId !== undefined) await drizzle(client).delete(loginActivity).where(eq(loginActivity.id, login.activityId));
    });
  }

  /** @returns undefined when the password was changed since it was compared. */
  async finishLogin(
    login: OpenLogin & { user: UserRow },
    origin: Origin,
  ): Promise<{ user: UserRow; sessionId: string; ended: SessionRecord[] } | undefined> {
    const now = this.#options.now();
    return await inTransaction(this.#options, async (db, tell) => {
      const [user] = await db
        .update(users)
        .set({ lastLoginAt: now })
        .where(and(eq(users.id, login.user.id), eq(users.passwordHash, login.user.passwordHash)))
        .returning();
      if (!user) return undefined;
      const session = await insertSession(db, tell, { userId: user.id, tenantId: user.tenantId }, origin, now);
      if (login.activityId !== undefined) {
        await db.update(loginActivity).set({ success: true }).where(eq(loginActivity.id, login.activityId));
      }
      await clearAttempts(db.$client, login.attempt.key);
      return { user, sessionId: session.id, ended: session.ended };
    });
  }

  /**
   * Ends every other session of the account.
   * @returns undefined when the password was changed meanwhile by somebody else.
   */
  async changePassword(user: UserRow, passwordHash: string, keptSessionId: string): Promise<SessionRecord[] | undefined> {
    return await inTransaction(this.#options, async (db, tell) => {
      // The row lock also makes a login with the old password wait, and then fail.
      const changed = await db
        .update(users)
        .set({ passwordHash })
        .where(and(eq(users.id, user.id), eq(users.passwordHash, user.passwordHash)))
        .returning({ id: users.id });
      if (changed.length === 0) return undefined;
      const others = and(eq(sessions.userId, user.id), ne(sessions.id, keptSessionId));
      return await endWhere(db, tell, others, "password_changed", this.#options.now());
    });
  }

  /** Counts an attempt to prove oneself again. */
  async beginStepUp(userId: string, proof: StepUpProof): Promise<Attempt> {
    return await beginAttempt(this.#options.pool, this.#options, "step-up", `${userId}\0${proof}`);
  }
  async endStepUp(attempt: Extract<Attempt, { ok: true }>): Promise<void> {
    await clearAttempts(this.#options.pool, attempt.key);
  }
}
