CREATE TABLE "routing"."secret_uses" (
	"feed_id" text NOT NULL,
	"user_id" text NOT NULL,
	"name" text NOT NULL,
	CONSTRAINT "secret_uses_feed_id_name_pk" PRIMARY KEY("feed_id","name")
);
--> statement-breakpoint
CREATE TABLE "routing"."user_secrets" (
	"user_id" text NOT NULL,
	"name" text NOT NULL,
	"sealed" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "user_secrets_user_id_name_pk" PRIMARY KEY("user_id","name")
);
--> statement-breakpoint
ALTER TABLE "routing"."feeds" ADD COLUMN "resolved" jsonb;--> statement-breakpoint
ALTER TABLE "routing"."secret_uses" ADD CONSTRAINT "secret_uses_feed_id_feeds_id_fk" FOREIGN KEY ("feed_id") REFERENCES "routing"."feeds"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "routing"."secret_uses" ADD CONSTRAINT "secret_uses_user_id_name_user_secrets_user_id_name_fk" FOREIGN KEY ("user_id","name") REFERENCES "routing"."user_secrets"("user_id","name") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "secret_uses_secret" ON "routing"."secret_uses" USING btree ("user_id","name");