-- +goose Up

ALTER TABLE "contact_assignments" ADD COLUMN "escalated_to_id" bigint NULL, ADD COLUMN "offered_to_id" bigint NULL;
ALTER TABLE "contacts" ADD COLUMN "offered_to_id" bigint NULL, ADD COLUMN "offer_ends_at" timestamptz NULL, ADD COLUMN "asked" jsonb NULL, ADD COLUMN "escalated_to_id" bigint NULL;
CREATE INDEX "contact_offered_to_id_box_sort_key" ON "contacts" ("offered_to_id", "box", "sort_key") WHERE offered_to_id IS NOT NULL;
CREATE INDEX "contact_escalated_to_id_box_sort_key" ON "contacts" ("escalated_to_id", "box", "sort_key") WHERE escalated_to_id IS NOT NULL;
ALTER TABLE "users" ADD COLUMN "working_hours" jsonb NULL, ADD COLUMN "turn" bigint NOT NULL DEFAULT 0;

-- What is due at a moment, for package timers. Any process may take it up.
CREATE TABLE "timers" (
  "kind" character varying NOT NULL,
  "subject_id" bigint NOT NULL,
  "account_id" bigint NOT NULL REFERENCES "accounts" ("id") ON DELETE CASCADE,
  "due_at" bigint NOT NULL,
  "setting" bigint NOT NULL DEFAULT 1,
  "failures" bigint NOT NULL DEFAULT 0,
  PRIMARY KEY ("kind", "subject_id")
);
CREATE INDEX "timer_due_at" ON "timers" ("due_at");
