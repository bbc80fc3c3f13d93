/**
 * Cache of at most `maxEntries` values that keeps what is used: two generations, the older one is dropped when the younger is full.
 * Unlike a linked LRU a hit in the young generation changes nothing, which is what the hot path does. Tests: bounded-cache.test.ts.
 */
export interface BoundedCache<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
  readonly size: number;
}

export function createBoundedCache<V>(maxEntries: number): BoundedCache<V> {
  const half = Math.max(1, Math.floor(maxEntries / 2));
  let young = new Map<string, V>();
  let old = new Map<string, V>();
  const set = (key: string, value: V): void => {
    if (young.size >= half) {
      old = young;
      young = new Map();
    }
    young.set(key, value);
  };
  return {
    get(key) {
      const hit = young.get(key);
      if (hit !== undefined) return hit;
      const survivor = old.get(key);
      if (survivor === undefined) return undefined;
      old.delete(key);
      set(key, survivor);
      return survivor;
    },
    set(key, value) {
      old.delete(key);
      set(key, value);
    },
    get size() {
      return young.size + old.size;
    },
  };
}
