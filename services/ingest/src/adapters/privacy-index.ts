/**
 * Consent and opt-out state of every known visitor in memory, under keyed hashes, fed by the logs CONSENTS and ERASURES.
 * No I/O; privacy-store.ts reads and writes the logs. Tests: small-adapters.test.ts.
 */
import { ConsentRecord, ErasureRecord } from "@headwater/protocol";
import { privacyKeyOf } from "@headwater/runtime";
import { fromFlags, holdsDenial, mergeConsent, toFlags } from "../domain/consent-flags.ts";
import type { ConsentState } from "../domain/consent.ts";
import { FingerprintTable } from "../domain/fingerprint-table.ts";
import { RecentMap } from "../domain/recent-map.ts";

export interface PrivacyIndexOptions {
  secret: string;
  /** Of each of the two tables; an entry takes about 20 bytes. */
  maxEntries: number;
  /** A record that should count found no room. */
  onFull(table: "consents" | "erasures"): void;
}

const OPTED_OUT = 1;
const RECENT_KEYS = 16_384;
const MAX_WAITERS = 10_000;

interface Waiter {
  ts: number;
  resolve(): void;
}

export class PrivacyIndex {
  readonly #options: PrivacyIndexOptions;
  readonly #consents: FingerprintTable;
  readonly #erasures: FingerprintTable;
  readonly #keys = new RecentMap<string>(RECENT_KEYS);
  readonly #waiters = new Map<string, Set<Waiter>>();
  #waiting = 0;

  constructor(options: PrivacyIndexOptions) {
    this.#options = options;
    this.#consents = new FingerprintTable(options.maxEntries);
    this.#erasures = new FingerprintTable(options.maxEntries);
  }

  sizes(): { consents: number; erasures: number } {
    return { consents: this.#consents.size, erasures: this.#erasures.size };
  }

  keyOf(tenantId: string, visitorId: string): string {
    const name = `${tenantId}:${visitorId}`;
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const key = privacyKeyOf(this.#options.secret, tenantId, visitorId);
    this.#keys.set(name, key);
    return key;
  }

  isOptedOut(tenantId: string, visitorId: string): boolean {
    return this.#erasures.size > 0 && this.#erasures.get(this.keyOf(tenantId, visitorId)) === OPTED_OUT;
  }

  consentOf(tenantId: string, visitorId: string): ConsentState | undefined {
    if (this.#consents.size === 0) return undefined;
    const flags = this.#consents.get(this.keyOf(tenantId, visitorId));
    return flags === undefined ? undefined : fromFlags(flags);
  }

  /** Whether a decision could be remembered. Grants always can: without them the preset's own default applies, which keeps no more. */
  hasRoomFor(key: string, state: ConsentState): boolean {
    return !this.#consents.isFull || this.#consents.get(key) !== undefined || !holdsDenial(state);
  }

  hasRoomForErasure(key: string): boolean {
    return !this.#erasures.isFull || this.#erasures.get(key) !== undefined;
  }

  applyConsent(record: ConsentRecord, seq: number): void {
    const before = this.#consents.get(record.key);
    const state = mergeConsent(before === undefined ? undefined : fromFlags(before), decisionOf(record));
    if (!this.#consents.set(record.key, toFlags(state), seq) && holdsDenial(state)) this.#options.onFull("consents");
  }

  applyErasure(record: ErasureRecord, seq: number): void {
    if (!this.#erasures.set(record.key, record.kind === "optout" ? OPTED_OUT : 0, seq)) this.#options.onFull("erasures");
    for (const waiter of this.#waiters.get(record.key) ?? []) if (record.ts >= waiter.ts) waiter.resolve();
  }

  /** Resolves with the first erasure record of the visitor at or after `ts`. False when too many wait already. */
  waitForErasure(key: string, ts: number): { arrived: Promise<void>; forget(): void } | undefined {
    if (this.#waiting >= MAX_WAITERS) return undefined;
    this.#waiting++;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = { ts, resolve };
    const waiters = this.#waiters.get(key) ?? new Set();
    this.#waiters.set(key, waiters.add(waiter));
    return {
      arrived: promise,
      forget: () => {
        if (!waiters.delete(waiter)) return;
        this.#waiting--;
        if (waiters.size === 0) this.#waiters.delete(key);
      },
    };
  }
}

function decisionOf({ analytics, identity, marketing }: ConsentRecord): ConsentState {
  return {
    ...(analytics === undefined ? {} : { analytics }),
    ...(identity === undefined ? {} : { identity }),
    ...(marketing === undefined ? {} : { marketing }),
  };
}

/** Lines of one stored message; what is not a record of ours is reported and skipped. */
export function consentRecords(data: Uint8Array, onBad: () => void): ConsentRecord[] {
  return records(data, (value) => ConsentRecord.safeParse(value), onBad);
}

export function erasureRecords(data: Uint8Array, onBad: () => void): ErasureRecord[] {
  return records(data, (value) => ErasureRecord.safeParse(value), onBad);
}

function records<T>(data: Uint8Array, parse: (value: unknown) => { success: true; data: T } | { success: false }, onBad: () => void): T[] {
  const good: T[] = [];
  for (const line of new TextDecoder().decode(data).split("\n")) {
    if (line === "") continue;
    const parsed = parse(tryJson(line));
    if (parsed.success) good.push(parsed.data);
    else onBad();
  }
  return good;
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // reported by the caller as a bad record
  }
}
