/**
 * Rows of automatic analyses in PostgreSQL: made before the provider is asked, completed once after. Reservations and completions of one moment
 * share a statement. Tests: run-store.int.test.ts.
 */
import type pg from "pg";
import type { RunOutcomeName } from "./db-schema.ts";

export interface NewRun {
  id: string;
  lane: number;
  epoch: number;
  feedId: string;
  tenantId: string;
  tick: string;
  provider: string;
  model: string;
}

export interface RunResult {
  id: string;
  outcome: Exclude<RunOutcomeName, "lost">;
  /** To be billed. */
  tokens: number;
  durationMs: number;
}

export interface Unbilled {
  id: string;
  tenantId: string;
  tokens: number;
}

export interface RunStore {
  /** False: that analysis was made, or is being made, by somebody. @throws when the database is away; then nothing may be asked. */
  reserve(run: NewRun): Promise<boolean>;
  /** False: it was written off meanwhile; then it is neither billed nor told. @throws when the database is away. */
  settle(result: RunResult): Promise<boolean>;
  /** The tokens of these runs are counted. */
  billed(ids: readonly string[]): Promise<void>;
  /** Writes off the open runs of earlier owners of a lane. @returns how many. */
  loseEarlier(lane: number, epoch: number): Promise<number>;
  /** Writes off open runs nobody can be working on any more. @returns how many. */
  loseOlderThan(ms: number): Promise<number>;
  /** Completed long enough ago to be billed by somebody who was not stopped from it; oldest first. */
  unbilled(options: { olderThanMs: number; limit: number }): Promise<Unbilled[]>;
  prune(olderThanMs: number): Promise<number>;
}

/** A statement with more rows than this is split. */
const MAX_BATCH = 500;
/** A mark that a run is billed may come so late: who sends the bill again because it is missing waits many times longer, and it counts once. */
const BILLED_WITHIN_MS = 200;

export function createRunStore(pool: pg.Pool): RunStore {
  const reserve = batched<NewRun, boolean>(async (runs) => {
    // In one order everywhere, or two instances could wait for each other's rows.
    const sorted = runs.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const column = <K extends keyof NewRun>(name: K): NewRun[K][] => sorted.map((run) => run[name]);
    // Does not wait for the disk, so that it does not hold up the question: a database that crashes within the second may forget a reservation,
    // and its tick may then be asked again. The completion below waits, and with it everything before it.
    const { rows } = await pool.query<{ id: string }>(
      `WITH quick AS (SELECT set_config('synchronous_commit', 'off', true))
       INSERT INTO intelligence.runs (id, lane, epoch, feed_id, tenant_id, tick, provider, model)
       SELECT new.* FROM quick, unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) AS new
       ON CONFLICT (id) DO NOTHING RETURNING id`,
      [
        column("id"),
        column("lane"),
        column("epoch"),
        column("feedId"),
        column("tenantId"),
        column("tick"),
        column("provider"),
        column("model"),
      ],
    );
    const made = new Set(rows.map(({ id }) => id));
    // The same run twice in one statement is one row: only its first asker has it.
    return runs.map(({ id }) => made.delete(id));
  });
  const settle = batched<RunResult, boolean>(async (results) => {
    const { rows } = await pool.query<{ id: string }>(
      `UPDATE intelligence.runs r SET settled_at = now(), outcome = done.outcome, tokens = done.tokens, duration_ms = done.ms
         FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) AS done(id, outcome, tokens, ms)
        WHERE r.id = done.id AND r.settled_at IS NULL RETURNING r.id`,
      [
        results.map(({ id }) => id),
        results.map(({ outcome }) => outcome),
        results.map(({ tokens }) => tokens),
        results.map(({ durationMs }) => Math.round(durationMs)),
      ],
    );
    const done = new Set(rows.map(({ id }) => id));
    return results.map(({ id }) => done.delete(id));
  });
  const billed = batched<string, undefined>(async (ids) => {
    await pool.query("UPDATE intelligence.runs SET billed_at = now() WHERE id = ANY($1::text[]) AND billed_at IS NULL", [ids]);
    return ids.map(() => undefined);
  }, BILLED_WITHIN_MS);
  const count = async (text: string, values: unknown[]): Promise<number> => (await pool.query(text, values)).rowCount ?? 0;

  return {
    reserve,
    settle,
    billed: async (ids) => void (await Promise.all(ids.map(billed))),
    loseEarlier: (lane, epoch) =>
      count("UPDATE intelligence.runs SET settled_at = now(), outcome = 'lost' WHERE lane = $1 AND epoch < $2 AND settled_at IS NULL", [
        lane,
        epoch,
      ]),
    loseOlderThan: (ms) =>
      count(
        "UPDATE intelligence.runs SET settled_at = now(), outcome = 'lost' WHERE settled_at IS NULL AND reserved_at < now() - $1 * interval '1 millisecond'",
        [ms],
      ),
    async unbilled({ olderThanMs, limit }) {
      const { rows } = await pool.query<{ id: string; tenant_id: string; tokens: number }>(
        `SELECT id, tenant_id, tokens FROM intelligence.runs
          WHERE billed_at IS NULL AND tokens > 0 AND settled_at < now() - $1 * interval '1 millisecond' ORDER BY settled_at LIMIT $2`,
        [olderThanMs, limit],
      );
      return rows.map(({ id, tenant_id, tokens }) => ({ id, tenantId: tenant_id, tokens }));
    },
    prune: (olderThanMs) =>
      count(
        "DELETE FROM intelligence.runs WHERE reserved_at < now() - $1 * interval '1 millisecond' AND settled_at IS NOT NULL AND (tokens = 0 OR billed_at IS NOT NULL)",
        [olderThanMs],
      ),
  };
}

/** What is asked for while a statement runs goes into the next one together; `withinMs` waits for more before the first. */
function batched<In, Out>(run: (items: In[]) => Promise<Out[]>, withinMs = 0): (item: In) => Promise<Out> {
  const waiting: { item: In; resolve(value: Out): void; reject(error: unknown): void }[] = [];
  let isRunning = false;
  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MAX_BATCH);
      try {
        const results = await run(batch.map(({ item }) => item));
        // As many results as items, in their order.
        batch.forEach(({ resolve }, i) => resolve(results[i] as Out));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isRunning = false;
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (isRunning) return;
      isRunning = true;
      if (withinMs > 0) setTimeout(() => void drain(), withinMs);
      // Callers of the same turn come together.
      else queueMicrotask(() => void drain());
    });
}
