/** Login sessions that ended before their token: the only state a token check needs. Pure (mutable, no I/O). Tests: ended-sessions.test.ts. */
import { SESSION_LIFETIME_MS } from "./account-rules.ts";

export class EndedSessions {
  /** Session id → when its token has expired at the latest, ms. */
  readonly #until = new Map<string, number>();

  /** @param revokedAtMs no token of the session outlives this by more than a session's life. */
  end(sessionId: string, revokedAtMs: number): void {
    this.#until.set(sessionId, revokedAtMs + SESSION_LIFETIME_MS);
  }
  has(sessionId: string): boolean {
    return this.#until.has(sessionId);
  }
  size(): number {
    return this.#until.size;
  }
  /** Forgets what no token can name any more. */
  prune(nowMs: number): void {
    for (const [id, until] of this.#until) if (until < nowMs) this.#until.delete(id);
  }
}
