/**
 * Outbox: rows written in the transaction of the change they tell about, published afterwards, at least once and in order.
 * The message id is the row's uuid, so a repeat within the server's window is dropped there; `later` lets a publisher drop a repeat
 * that comes after it.
 * One relay works at a time (advisory lock); a late commit is never skipped, because rows are picked by "not published", not by position.
 * Tests: postgres.int.test.ts.
 */
import type { Logger } from "@headwater/runtime";
import type pg from "pg";
import { withTransaction } from "./transaction.ts";

export interface OutboxRow {
  id: string;
  subject: string;
  payload: string;
}

export interface OutboxOptions {
  pool: pg.Pool;
  /** Schema with a table `outbox(position bigserial, id uuid, subject text, payload text, created_at, published_at)`. */
  schema: string;
  /**
   * Resolves after the message is stored.
   * @param later ids of the rows of the same subject that follow. When the last stored message of the subject is this row or one of
   * them, the row was stored by an earlier try whose mark was lost, and storing it again would bring an old fact back.
   */
  publish(row: OutboxRow, later: readonly string[]): Promise<void>;
  log: Logger;
  /** Pause between two looks when nobody woke the relay, ms. Default 1,000. */
  idlePollMs?: number;
}

export interface OutboxRelay {
  /** Something was committed: look now. */
  wake(): void;
  /** Resolves with true when everything committed before the call is published, with false when that was not possible in time. */
  flush(withinMs: number): Promise<boolean>;
  stop(): Promise<void>;
}

const BATCH = 100;
const RETRY_MS = 200;
/** Published rows are kept a while for an operator to look at. */
const KEEP = "7 days";

/** Call inside the transaction of the change. In this order, in one statement. */
export async function appendOutbox(client: pg.ClientBase, schema: string, ...rows: OutboxRow[]): Promise<void> {
  await client.query(`INSERT INTO "${schema}".outbox (id, subject, payload) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[])`, [
    rows.map(({ id }) => id),
    rows.map(({ subject }) => subject),
    rows.map(({ payload }) => payload),
  ]);
}

export function createOutboxRelay(options: OutboxOptions): OutboxRelay {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<number> | undefined;
  let again = false;

  const drain = async (): Promise<number> => {
    let total = 0;
    for (let n = BATCH; n === BATCH && !stopped; total += n) n = await relayOnce(options);
    return total;
  };
  const run = (): void => {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    again = false;
    let delay = options.idlePollMs ?? 1_000;
    running = drain()
      .catch((error: unknown) => {
        options.log.warn({ err: error }, "outbox.relay_failed");
        delay = RETRY_MS;
        return -1;
      })
      .finally(() => {
        running = undefined;
        if (stopped) return;
        timer = setTimeout(run, again ? 0 : delay);
        timer.unref();
      });
  };
  run();
  return {
    wake: run,
    async flush(withinMs) {
      const deadline = performance.now() + withinMs;
      try {
        for (;;) {
          run();
          await Promise.race([running, pause(deadline - performance.now())]);
          if (!(await hasPending(options))) return true;
          if (stopped || performance.now() >= deadline) return false;
          await pause(20);
        }
      } catch (error) {
        options.log.warn({ err: error }, "outbox.flush_failed");
        return false;
      }
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

async function relayOnce(options: OutboxOptions): Promise<number> {
  return await withTransaction(options.pool, async (client) => {
    const lock = await client.query<{ got: boolean }>("SELECT pg_try_advisory_xact_lock(hashtext($1)) AS got", [
      `headwater.outbox.${options.schema}`,
    ]);
    // Another instance is relaying; it takes our rows along.
    if (!lock.rows[0]?.got) return 0;
    const rows = await client.query<OutboxRow>(
      `SELECT id, subject, payload FROM "${options.schema}".outbox WHERE published_at IS NULL ORDER BY position LIMIT ${BATCH} FOR UPDATE SKIP LOCKED`,
    );
    for (const [i, row] of rows.rows.entries()) {
      const later = rows.rows.slice(i + 1).filter((other) => other.subject === row.subject);
      await options.publish(
        row,
        later.map((other) => other.id),
      );
    }
    if (rows.rows.length > 0) {
      await client.query(`UPDATE "${options.schema}".outbox SET published_at = now() WHERE id = ANY($1)`, [rows.rows.map((row) => row.id)]);
      await client.query(`DELETE FROM "${options.schema}".outbox WHERE published_at < now() - interval '${KEEP}'`);
    }
    return rows.rows.length;
  });
}

async function hasPending(options: OutboxOptions): Promise<boolean> {
  const found = await options.pool.query(`SELECT 1 FROM "${options.schema}".outbox WHERE published_at IS NULL LIMIT 1`);
  return found.rows.length > 0;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)).unref());
}
