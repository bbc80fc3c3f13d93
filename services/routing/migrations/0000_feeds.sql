CREATE SCHEMA IF NOT EXISTS "routing";
--> statement-breakpoint
CREATE TABLE "routing"."feeds" (
	"id" text PRIMARY KEY NOT NULL,
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"owner_name" text NOT NULL,
	"name" text NOT NULL,
	"description" text NOT NULL,
	"url" text NOT NULL,
	"category" text NOT NULL,
	"is_active" boolean NOT NULL,
	"is_verified" boolean DEFAULT false NOT NULL,
	"is_public" boolean NOT NULL,
	"feed_type" text DEFAULT 'user' NOT NULL,
	"tags" text[],
	"subscriber_count" integer DEFAULT 0 NOT NULL,
	"settings" jsonb NOT NULL,
	"sealed" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	"last_active_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "routing"."outbox" (
	"position" bigserial PRIMARY KEY NOT NULL,
	"id" uuid NOT NULL,
	"subject" text NOT NULL,
	"payload" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"published_at" timestamp with time zone,
	CONSTRAINT "outbox_id_unique" UNIQUE("id")
);
--> statement-breakpoint
CREATE TABLE "routing"."subscriptions" (
	"id" text PRIMARY KEY NOT NULL,
	"user_id" text NOT NULL,
	"feed_id" text NOT NULL,
	"subscribed_at" timestamp (3) with time zone NOT NULL,
	"is_active" boolean NOT NULL,
	"custom_prompt" text,
	"settings" jsonb
);
--> statement-breakpoint
CREATE TABLE "routing"."user_categories" (
	"user_id" text NOT NULL,
	"key" text NOT NULL,
	"label" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "user_categories_user_id_key_pk" PRIMARY KEY("user_id","key")
);
--> statement-breakpoint
ALTER TABLE "routing"."subscriptions" ADD CONSTRAINT "subscriptions_feed_id_feeds_id_fk" FOREIGN KEY ("feed_id") REFERENCES "routing"."feeds"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "feeds_tenant" ON "routing"."feeds" USING btree ("tenant_id","created_at");--> statement-breakpoint
CREATE INDEX "feeds_newest" ON "routing"."feeds" USING btree ("is_public","created_at","id");--> statement-breakpoint
CREATE INDEX "feeds_popular" ON "routing"."feeds" USING btree ("is_public","subscriber_count","created_at");--> statement-breakpoint
CREATE INDEX "outbox_pending" ON "routing"."outbox" USING btree ("published_at","position");--> statement-breakpoint
CREATE UNIQUE INDEX "subscriptions_user_feed" ON "routing"."subscriptions" USING btree ("user_id","feed_id");--> statement-breakpoint
CREATE INDEX "subscriptions_feed" ON "routing"."subscriptions" USING btree ("feed_id");