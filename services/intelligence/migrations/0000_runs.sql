CREATE SCHEMA IF NOT EXISTS "intelligence";
--> statement-breakpoint
CREATE TABLE "intelligence"."runs" (
	"id" text PRIMARY KEY NOT NULL,
	"lane" integer NOT NULL,
	"epoch" bigint NOT NULL,
	"feed_id" text NOT NULL,
	"tenant_id" text NOT NULL,
	"tick" text NOT NULL,
	"provider" text NOT NULL,
	"model" text NOT NULL,
	"reserved_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"settled_at" timestamp (3) with time zone,
	"outcome" text,
	"tokens" integer DEFAULT 0 NOT NULL,
	"duration_ms" integer,
	"billed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "runs_open" ON "intelligence"."runs" USING btree ("lane","reserved_at") WHERE settled_at IS NULL;--> statement-breakpoint
CREATE INDEX "runs_unbilled" ON "intelligence"."runs" USING btree ("settled_at") WHERE billed_at IS NULL AND tokens > 0;--> statement-breakpoint
CREATE INDEX "runs_age" ON "intelligence"."runs" USING btree ("reserved_at");