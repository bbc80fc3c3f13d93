-- Snapshots of fold state, keyed by family and lane (not by service). Bodies are NDJSON of [key, state] behind one byte (0 raw, 1 zstd); sha256 is of the stored body.
CREATE TABLE lanes.heads (
  family text NOT NULL,
  gen text NOT NULL,
  lane integer NOT NULL,
  -- Every page and cold row with in_seq <= this is complete and consistent at exactly this input position.
  in_seq bigint NOT NULL,
  -- The snapshot before; its page versions are kept as a fallback. 0 = from the beginning of the log.
  prev_in_seq bigint NOT NULL,
  -- Fencing: an owner never overwrites what a later owner wrote.
  epoch bigint NOT NULL,
  written_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (family, gen, lane)
);
--> statement-breakpoint
CREATE TABLE lanes.pages (
  family text NOT NULL,
  gen text NOT NULL,
  lane integer NOT NULL,
  page integer NOT NULL,
  in_seq bigint NOT NULL,
  schema integer NOT NULL,
  sha256 bytea NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (family, gen, lane, page, in_seq)
);
--> statement-breakpoint
CREATE TABLE lanes.cold_keys (
  family text NOT NULL,
  gen text NOT NULL,
  lane integer NOT NULL,
  -- bytea: a key may hold any character, text may not hold NUL.
  key bytea NOT NULL,
  in_seq bigint NOT NULL,
  schema integer NOT NULL,
  sha256 bytea,
  -- NULL = deleted at in_seq.
  body bytea,
  PRIMARY KEY (family, gen, lane, key, in_seq)
);
--> statement-breakpoint
-- From input message in_seq on, the fold used config as of REGISTRY position reg. A refold from zero needs all of it.
CREATE TABLE lanes.registry_changes (
  family text NOT NULL,
  gen text NOT NULL,
  lane integer NOT NULL,
  in_seq bigint NOT NULL,
  reg bigint NOT NULL,
  PRIMARY KEY (family, gen, lane, in_seq)
);
--> statement-breakpoint
-- Items whose fold threw. Skipped ones are part of the history: every replay skips them too.
CREATE TABLE lanes.poison (
  family text NOT NULL,
  gen text NOT NULL,
  lane integer NOT NULL,
  in_seq bigint NOT NULL,
  item integer NOT NULL,
  tries integer NOT NULL,
  skipped boolean NOT NULL DEFAULT false,
  reason text NOT NULL,
  PRIMARY KEY (family, gen, lane, in_seq, item)
);
