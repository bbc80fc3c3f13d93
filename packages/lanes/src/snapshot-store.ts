/**
 * Snapshots in PostgreSQL schema `lanes`: one transaction per round, so pages, cold keys and position cannot diverge; the two
 * newest versions of every page are kept. Touches nothing but that schema. Tests: snapshot-store.int.test.ts.
 */
import { createHash } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { withTransaction } from "@headwater/postgres";
import type { Pool, PoolClient } from "pg";
import type { RegChange } from "./registry-log.ts";
import { NewerSnapshot, OwnershipLost } from "./types.ts";

export interface LaneKey {
  family: string;
  gen: string;
  lane: number;
}

export interface Head {
  inSeq: number;
  prevInSeq: number;
  epoch: number;
  writtenAtMs: number;
}

/** A stored body does not match its checksum or cannot be read. */
export class CorruptSnapshot extends Error {
  override readonly name = "CorruptSnapshot";
  /** A snapshot below this position does not hold the broken row. */
  readonly inSeq: number;
  constructor(message: string, inSeq: number, options?: ErrorOptions) {
    super(message, options);
    this.inSeq = inSeq;
  }
}

export interface StoredPage {
  page: number;
  schema: number;
  sha256: Buffer;
  body: Buffer;
}

export interface RoundToStore {
  inSeq: number;
  /** Where the newest snapshot must be (0 = none): pages that did not change since are not stored again. */
  follows: readonly number[];
  epoch: number;
  schema: number;
  pages: ({ page: number } & Body)[];
  cold: ({ key: string } & Body)[];
  tombstones: string[];
  registryChanges: RegChange[];
}

export interface PoisonItem {
  seq: number;
  index: number;
}

export type KeyState = [key: string, json: unknown];

const ROWS_PER_STATEMENT = 64;
const COLD_PER_STATEMENT = 500;
const LANE = "family = $1 AND gen = $2 AND lane = $3";

export interface Body {
  sha256: Buffer;
  body: Buffer;
}

/** First byte of a body: how the rest is stored. */
const RAW = 0;
const ZSTD = 1;
/** Below this the set-up of a compressor costs more than it saves; the asynchronous one costs a millisecond at any size. */
const COMPRESS_FROM_CHARS = 8_192;

export function encodeBody(lines: readonly string[]): Body {
  const text = lines.join("\n");
  const body =
    text.length < COMPRESS_FROM_CHARS
      ? Buffer.concat([Buffer.of(RAW), Buffer.from(text, "utf8")])
      : Buffer.concat([Buffer.of(ZSTD), zstdCompressSync(text, { params: { [constants.ZSTD_c_compressionLevel]: 1 } })]);
  return { body, sha256: createHash("sha256").update(body).digest() };
}

/** @throws CorruptSnapshot */
export function decodeBody(row: { sha256: Buffer | null; body: Buffer }, where: string, inSeq: number): KeyState[] {
  const actual = createHash("sha256").update(row.body).digest();
  if (row.sha256 === null || !actual.equals(row.sha256)) throw new CorruptSnapshot(`${where}: checksum differs`, inSeq);
  try {
    const rest = row.body.subarray(1);
    const text = (row.body[0] === ZSTD ? zstdDecompressSync(rest) : rest).toString("utf8");
    // Written by `encodeBody` from `[key, state]` lines, and the checksum held.
    return text === "" ? [] : text.split("\n").map((line) => JSON.parse(line) as KeyState);
  } catch (error) {
    throw new CorruptSnapshot(`${where}: unreadable`, inSeq, { cause: error });
  }
}

export class SnapshotStore {
  readonly #pool: Pool;
  readonly #lane: LaneKey;
  readonly #schema: number;

  constructor(pool: Pool, lane: LaneKey, schema: number) {
    this.#pool = pool;
    this.#lane = lane;
    this.#schema = schema;
  }

  get #key(): [string, string, number] {
    return [this.#lane.family, this.#lane.gen, this.#lane.lane];
  }

  async head(): Promise<Head | undefined> {
    const { rows } = await this.#pool.query<{ in_seq: string; prev_in_seq: string; epoch: string; written_at: Date }>(
      `SELECT in_seq, prev_in_seq, epoch, written_at FROM lanes.heads WHERE ${LANE}`,
      this.#key,
    );
    const row = rows[0];
    if (!row) return undefined;
    return {
      inSeq: Number(row.in_seq),
      prevInSeq: Number(row.prev_in_seq),
      epoch: Number(row.epoch),
      writtenAtMs: row.written_at.getTime(),
    };
  }

  /** Newest version of every page as of `inSeq`. @throws NewerSnapshot, CorruptSnapshot */
  async pages(inSeq: number): Promise<{ schema: number; keys: KeyState[] }[]> {
    const { rows } = await this.#pool.query<StoredPage & { in_seq: string }>(
      `SELECT DISTINCT ON (page) page, in_seq, schema, sha256, body FROM lanes.pages
       WHERE ${LANE} AND in_seq <= $4 ORDER BY page, in_seq DESC`,
      [...this.#key, inSeq],
    );
    return rows.map((row) => {
      this.#checkSchema(row.schema);
      return { schema: row.schema, keys: decodeBody(row, `page ${row.page}`, Number(row.in_seq)) };
    });
  }

  /** Keys that have a cold row, for the key filter. */
  async coldKeys(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ key: Buffer }>(`SELECT DISTINCT key FROM lanes.cold_keys WHERE ${LANE}`, this.#key);
    return rows.map((row) => row.key.toString("utf8"));
  }

  /** Newest cold version of each key; keys that have none, or were deleted, are missing in the answer. @throws CorruptSnapshot */
  async loadCold(keys: readonly string[]): Promise<{ key: string; json: unknown; schema: number }[]> {
    if (keys.length === 0) return [];
    const { rows } = await this.#pool.query<{ key: Buffer; in_seq: string; schema: number; sha256: Buffer | null; body: Buffer | null }>(
      `SELECT DISTINCT ON (key) key, in_seq, schema, sha256, body FROM lanes.cold_keys
       WHERE ${LANE} AND key = ANY($4) ORDER BY key, in_seq DESC`,
      [...this.#key, keys.map((key) => Buffer.from(key, "utf8"))],
    );
    const result: { key: string; json: unknown; schema: number }[] = [];
    for (const row of rows) {
      if (row.body === null) continue;
      this.#checkSchema(row.schema);
      const [entry] = decodeBody({ sha256: row.sha256, body: row.body }, "cold key", Number(row.in_seq));
      if (entry) result.push({ key: entry[0], json: entry[1], schema: row.schema });
    }
    return result;
  }

  /** Every cold key that is not deleted; for hashes of the whole state. */
  async allCold(): Promise<{ key: string; json: unknown; schema: number }[]> {
    return this.loadCold(await this.coldKeys());
  }

  async registryChanges(): Promise<RegChange[]> {
    const { rows } = await this.#pool.query<{ in_seq: string; reg: string }>(
      `SELECT in_seq, reg FROM lanes.registry_changes WHERE ${LANE} ORDER BY in_seq`,
      this.#key,
    );
    return rows.map((row) => [Number(row.in_seq), Number(row.reg)]);
  }

  /** Forgets everything above `inSeq`: the way back to an older snapshot (0 = to the beginning). */
  async truncate(inSeq: number, epoch: number): Promise<void> {
    await withTransaction(this.#pool, async (client) => {
      await this.#lockHead(client, epoch);
      await client.query(`DELETE FROM lanes.pages WHERE ${LANE} AND in_seq > $4`, [...this.#key, inSeq]);
      await client.query(`DELETE FROM lanes.cold_keys WHERE ${LANE} AND in_seq > $4`, [...this.#key, inSeq]);
      if (inSeq === 0) await client.query(`DELETE FROM lanes.heads WHERE ${LANE}`, this.#key);
      else
        await client.query(`UPDATE lanes.heads SET in_seq = $4, prev_in_seq = 0, epoch = $5, written_at = now() WHERE ${LANE}`, [
          ...this.#key,
          inSeq,
          epoch,
        ]);
    });
  }

  /** Forgets the lane altogether: its log is another one now, and positions of the old one mean nothing. */
  async reset(): Promise<void> {
    await withTransaction(this.#pool, async (client) => {
      for (const table of ["heads", "pages", "cold_keys", "registry_changes", "poison"]) {
        await client.query(`DELETE FROM lanes.${table} WHERE ${LANE}`, this.#key);
      }
    });
  }

  /** Stores a round. @returns the position of the snapshot before it. @throws OwnershipLost when a later owner wrote meanwhile */
  async store(round: RoundToStore, beforeCommit?: () => void | Promise<void>): Promise<{ prevInSeq: number }> {
    return withTransaction(this.#pool, async (client) => {
      const head = await this.#lockHead(client, round.epoch);
      if (head && head.inSeq > round.inSeq) throw new OwnershipLost("a newer snapshot of this lane exists");
      if (!round.follows.includes(head?.inSeq ?? 0)) {
        throw new OwnershipLost(`the newest snapshot is at ${head?.inSeq ?? 0}, not where this owner left it: state is restored from it`);
      }
      const prevInSeq = head === undefined ? 0 : head.inSeq === round.inSeq ? head.prevInSeq : head.inSeq;
      for (const rows of slices(round.pages, ROWS_PER_STATEMENT)) {
        await client.query(
          `INSERT INTO lanes.pages (family, gen, lane, page, in_seq, schema, sha256, body)
           SELECT $1, $2, $3, page, $4, $5, sha256, body FROM unnest($6::int[], $7::bytea[], $8::bytea[]) AS t(page, sha256, body)
           ON CONFLICT (family, gen, lane, page, in_seq) DO UPDATE SET schema = excluded.schema, sha256 = excluded.sha256, body = excluded.body`,
          [...this.#key, round.inSeq, round.schema, rows.map((r) => r.page), rows.map((r) => r.sha256), rows.map((r) => r.body)],
        );
      }
      for (const rows of slices(round.cold, COLD_PER_STATEMENT)) {
        await client.query(
          `INSERT INTO lanes.cold_keys (family, gen, lane, key, in_seq, schema, sha256, body)
           SELECT $1, $2, $3, key, $4, $5, sha256, body FROM unnest($6::bytea[], $7::bytea[], $8::bytea[]) AS t(key, sha256, body)
           ON CONFLICT (family, gen, lane, key, in_seq) DO UPDATE SET schema = excluded.schema, sha256 = excluded.sha256, body = excluded.body`,
          [...this.#key, round.inSeq, round.schema, rows.map((r) => bytes(r.key)), rows.map((r) => r.sha256), rows.map((r) => r.body)],
        );
      }
      for (const keys of slices(round.tombstones, COLD_PER_STATEMENT)) {
        await client.query(
          `INSERT INTO lanes.cold_keys (family, gen, lane, key, in_seq, schema)
           SELECT $1, $2, $3, k, $4, $5 FROM unnest($6::bytea[]) AS k
           WHERE EXISTS (SELECT 1 FROM lanes.cold_keys c WHERE c.family = $1 AND c.gen = $2 AND c.lane = $3 AND c.key = k)
           ON CONFLICT (family, gen, lane, key, in_seq) DO UPDATE SET sha256 = NULL, body = NULL`,
          [...this.#key, round.inSeq, round.schema, keys.map(bytes)],
        );
      }
      for (const [inSeq, reg] of round.registryChanges) {
        await client.query(
          `INSERT INTO lanes.registry_changes (family, gen, lane, in_seq, reg) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (family, gen, lane, in_seq) DO UPDATE SET reg = excluded.reg`,
          [...this.#key, inSeq, reg],
        );
      }
      await client.query(
        `INSERT INTO lanes.heads (family, gen, lane, in_seq, prev_in_seq, epoch) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (family, gen, lane) DO UPDATE SET in_seq = $4, prev_in_seq = $5, epoch = $6, written_at = now()`,
        [...this.#key, round.inSeq, prevInSeq, round.epoch],
      );
      await this.#forgetOldVersions(client, prevInSeq, round.cold.length + round.tombstones.length > 0);
      await beforeCommit?.();
      return { prevInSeq };
    });
  }

  /** Registry changes and poison of inputs that no longer exist; the change in force at `firstSeq` stays. */
  async forgetHistoryBefore(firstSeq: number): Promise<void> {
    await this.#pool.query(
      `DELETE FROM lanes.registry_changes WHERE ${LANE} AND in_seq < (
         SELECT max(in_seq) FROM lanes.registry_changes WHERE ${LANE} AND in_seq <= $4)`,
      [...this.#key, firstSeq],
    );
    await this.#pool.query(`DELETE FROM lanes.poison WHERE ${LANE} AND in_seq < $4`, [...this.#key, firstSeq]);
  }

  /** Counts one more failure of an item. @returns how often it failed so far, this one included. */
  async countPoison(item: PoisonItem, reason: string): Promise<number> {
    const { rows } = await this.#pool.query<{ tries: number }>(
      `INSERT INTO lanes.poison (family, gen, lane, in_seq, item, tries, reason) VALUES ($1, $2, $3, $4, $5, 1, $6)
       ON CONFLICT (family, gen, lane, in_seq, item) DO UPDATE SET tries = lanes.poison.tries + 1, reason = excluded.reason
       RETURNING tries`,
      [...this.#key, item.seq, item.index, reason.slice(0, 1_000).replaceAll("\0", "")],
    );
    return rows[0]?.tries ?? 1;
  }

  async skipPoison(item: PoisonItem): Promise<void> {
    await this.#pool.query(`UPDATE lanes.poison SET skipped = true WHERE ${LANE} AND in_seq = $4 AND item = $5`, [
      ...this.#key,
      item.seq,
      item.index,
    ]);
  }

  async skippedItems(): Promise<PoisonItem[]> {
    const { rows } = await this.#pool.query<{ in_seq: string; item: number }>(
      `SELECT in_seq, item FROM lanes.poison WHERE ${LANE} AND skipped`,
      this.#key,
    );
    return rows.map((row) => ({ seq: Number(row.in_seq), index: row.item }));
  }

  async #lockHead(client: PoolClient, epoch: number): Promise<Head | undefined> {
    const { rows } = await client.query<{ in_seq: string; prev_in_seq: string; epoch: string }>(
      `SELECT in_seq, prev_in_seq, epoch FROM lanes.heads WHERE ${LANE} FOR UPDATE`,
      this.#key,
    );
    const row = rows[0];
    if (!row) return undefined;
    if (Number(row.epoch) > epoch) throw new OwnershipLost("a later owner has written a snapshot");
    return { inSeq: Number(row.in_seq), prevInSeq: Number(row.prev_in_seq), epoch: Number(row.epoch), writtenAtMs: 0 };
  }

  /** Keeps, per page and cold key, the newest version and the newest one at or below the previous snapshot. */
  async #forgetOldVersions(client: PoolClient, prevInSeq: number, coldChanged: boolean): Promise<void> {
    await client.query(
      `DELETE FROM lanes.pages old USING lanes.pages newer WHERE old.family = $1 AND old.gen = $2 AND old.lane = $3
         AND newer.family = $1 AND newer.gen = $2 AND newer.lane = $3 AND newer.page = old.page
         AND newer.in_seq > old.in_seq AND newer.in_seq <= $4`,
      [...this.#key, prevInSeq],
    );
    if (!coldChanged) return;
    await client.query(
      `DELETE FROM lanes.cold_keys old USING lanes.cold_keys newer WHERE old.family = $1 AND old.gen = $2 AND old.lane = $3
         AND newer.family = $1 AND newer.gen = $2 AND newer.lane = $3 AND newer.key = old.key
         AND newer.in_seq > old.in_seq AND newer.in_seq <= $4`,
      [...this.#key, prevInSeq],
    );
    await client.query(
      `DELETE FROM lanes.cold_keys gone WHERE ${LANE} AND body IS NULL AND in_seq <= $4
         AND NOT EXISTS (SELECT 1 FROM lanes.cold_keys o WHERE o.family = $1 AND o.gen = $2 AND o.lane = $3
                           AND o.key = gone.key AND o.in_seq <> gone.in_seq)`,
      [...this.#key, prevInSeq],
    );
  }

  #checkSchema(schema: number): void {
    if (schema > this.#schema) throw new NewerSnapshot(`snapshot has state schema ${schema}, this version knows ${this.#schema}`);
  }
}

function bytes(key: string): Buffer {
  return Buffer.from(key, "utf8");
}

function* slices<T>(items: readonly T[], size: number): IterableIterator<T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size);
}
