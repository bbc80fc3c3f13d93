/**
 * The last answers of a conversation, for the next prompt: automatic ones per feed and topic, manual ones per user, feed and topic, and no
 * other. Bounded: the conversation nobody continued longest is forgotten first. State that is snapshotted as `entries()`. Pure.
 * Tests: memory.test.ts.
 */
import { cutPoints } from "./cut-points.ts";

/** Later prompts show this much of an answer, so no more is kept; code points. */
export const ANSWER_POINTS = 200;
export const QUESTION_POINTS = 400;

export interface MemoryEntry {
  /** When it was answered, ms. */
  at: number;
  question: string;
  answer: string;
}

export interface MemoryKey {
  feedId: string;
  topic?: string | undefined;
  /** Whose conversation; absent: the automatic analyses of the feed. */
  userId?: string | undefined;
}

export interface MemoryLimits {
  perKey: number;
  keys: number;
}

export const MEMORY_LIMITS: MemoryLimits = { perKey: 3, keys: 10_000 };

export class Memory {
  readonly #limits: MemoryLimits;
  /** Least recently continued first. */
  readonly #conversations = new Map<string, { key: MemoryKey; entries: MemoryEntry[] }>();

  constructor(limits: MemoryLimits = MEMORY_LIMITS) {
    this.#limits = limits;
  }

  /** Newest first; the caller's own copy. */
  recall(key: MemoryKey): MemoryEntry[] {
    return [...(this.#conversations.get(idOf(key))?.entries ?? [])];
  }

  remember(key: MemoryKey, entry: MemoryEntry): void {
    const id = idOf(key);
    const kept = { at: entry.at, question: cutPoints(entry.question, QUESTION_POINTS), answer: cutPoints(entry.answer, ANSWER_POINTS) };
    const entries = [kept, ...(this.#conversations.get(id)?.entries ?? [])].slice(0, this.#limits.perKey);
    this.#conversations.delete(id);
    this.#conversations.set(id, { key: { ...key }, entries });
    for (const oldest of this.#conversations.keys()) {
      if (this.#conversations.size <= this.#limits.keys) break;
      this.#conversations.delete(oldest);
    }
  }

  /** Every conversation about a feed, all users and topics, or about one of its topics. */
  clear(feedId: string, topic?: string): void {
    for (const [id, { key }] of this.#conversations)
      if (key.feedId === feedId && (topic === undefined || key.topic === topic)) this.#conversations.delete(id);
  }

  clearWhere(isGone: (feedId: string) => boolean): void {
    for (const [id, { key }] of this.#conversations) if (isGone(key.feedId)) this.#conversations.delete(id);
  }

  entries(): { key: MemoryKey; entries: readonly MemoryEntry[] }[] {
    return [...this.#conversations.values()];
  }
}

/** JSON keeps the parts apart whatever they hold. */
function idOf({ feedId, topic, userId }: MemoryKey): string {
  return JSON.stringify([feedId, topic ?? null, userId ?? null]);
}
