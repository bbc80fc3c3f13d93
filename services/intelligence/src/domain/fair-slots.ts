/**
 * A pool of places for provider calls. Whoever waits is served in turns: tenants, then the feeds of a tenant, then arrival; manual questions
 * before automatic ones, but every fourth place goes to an automatic one that waits. No tenant has more than its share, so that one whose
 * provider hangs leaves places for others. Pure but for promises. Tests: fair-slots.test.ts.
 */
export interface SlotRequest {
  /** Who pays. */
  tenantId: string;
  feedId: string;
  kind: "manual" | "auto";
  signal: AbortSignal;
}

export interface Slot {
  /** Twice is once. */
  release(): void;
}

export interface SlotOptions {
  size: number;
  /** Places of one tenant at once. */
  perTenant: number;
}

interface Waiting {
  request: SlotRequest;
  give(): void;
}

/** Manual places in a row while an automatic call waits. */
const MANUAL_IN_A_ROW = 3;

export class FairSlots {
  readonly size: number;
  readonly #perTenant: number;
  /** Tenants and feeds in the order in which it is their turn. */
  readonly #waiting = { manual: new Map<string, Map<string, Set<Waiting>>>(), auto: new Map<string, Map<string, Set<Waiting>>>() };
  readonly #used = new Map<string, number>();
  #taken = 0;
  #manualInARow = 0;

  constructor(options: SlotOptions) {
    this.size = options.size;
    this.#perTenant = options.perTenant;
  }

  free(): number {
    return this.size - this.#taken;
  }

  waiting(): number {
    let count = 0;
    for (const tenants of Object.values(this.#waiting))
      for (const feeds of tenants.values()) for (const queue of feeds.values()) count += queue.size;
    return count;
  }

  async acquire(request: SlotRequest): Promise<Slot> {
    request.signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { request, give: resolve };
    const leave = (): void => {
      // False: the place was given in the meantime, and is taken.
      if (this.#remove(waiting)) reject(request.signal.reason);
    };
    this.#add(waiting);
    request.signal.addEventListener("abort", leave, { once: true });
    this.#serve();
    try {
      await promise;
    } finally {
      request.signal.removeEventListener("abort", leave);
    }
    let isOpen = true;
    return {
      release: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#taken--;
        const left = (this.#used.get(request.tenantId) ?? 1) - 1;
        if (left === 0) this.#used.delete(request.tenantId);
        else this.#used.set(request.tenantId, left);
        this.#serve();
      },
    };
  }

  #serve(): void {
    while (this.#taken < this.size) {
      const isAutoTurn = this.#manualInARow >= MANUAL_IN_A_ROW;
      const next = isAutoTurn ? (this.#next("auto") ?? this.#next("manual")) : (this.#next("manual") ?? this.#next("auto"));
      if (next === undefined) return;
      const { tenantId, feedId, kind } = next.request;
      this.#manualInARow = kind === "manual" && this.#waiting.auto.size > 0 ? this.#manualInARow + 1 : 0;
      this.#remove(next);
      this.#turn(kind, tenantId, feedId);
      this.#taken++;
      this.#used.set(tenantId, (this.#used.get(tenantId) ?? 0) + 1);
      next.give();
    }
  }

  #next(kind: SlotRequest["kind"]): Waiting | undefined {
    for (const [tenantId, feeds] of this.#waiting[kind]) {
      if ((this.#used.get(tenantId) ?? 0) >= this.#perTenant) continue;
      for (const queue of feeds.values()) for (const waiting of queue) return waiting;
    }
    return undefined;
  }

  /** Whoever was served goes to the end of its line. */
  #turn(kind: SlotRequest["kind"], tenantId: string, feedId: string): void {
    const tenants = this.#waiting[kind];
    const feeds = tenants.get(tenantId);
    if (feeds === undefined) return;
    tenants.delete(tenantId);
    tenants.set(tenantId, feeds);
    const queue = feeds.get(feedId);
    if (queue === undefined) return;
    feeds.delete(feedId);
    feeds.set(feedId, queue);
  }

  #add(waiting: Waiting): void {
    const { kind, tenantId, feedId } = waiting.request;
    const tenants = this.#waiting[kind];
    let feeds = tenants.get(tenantId);
    if (!feeds) tenants.set(tenantId, (feeds = new Map()));
    let queue = feeds.get(feedId);
    if (!queue) feeds.set(feedId, (queue = new Set()));
    queue.add(waiting);
  }

  #remove(waiting: Waiting): boolean {
    const { kind, tenantId, feedId } = waiting.request;
    const feeds = this.#waiting[kind].get(tenantId);
    const queue = feeds?.get(feedId);
    if (!feeds || !queue?.delete(waiting)) return false;
    if (queue.size === 0) feeds.delete(feedId);
    if (feeds.size === 0) this.#waiting[kind].delete(tenantId);
    return true;
  }
}
