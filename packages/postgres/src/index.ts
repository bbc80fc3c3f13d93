/** Public surface: pool, migrations, transactions, outbox. */
export { isDatabaseAway, violatedIndex } from "./database-errors.ts";
export { migrate, type MigrateOptions, NewerDatabase } from "./migrate.ts";
export { appendOutbox, createOutboxRelay, type OutboxOptions, type OutboxRelay, type OutboxRow } from "./outbox.ts";
export { openPool, type PoolOptions } from "./pool.ts";
export { withTransaction } from "./transaction.ts";
