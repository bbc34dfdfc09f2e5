-- +goose Up

-- What happened in an account, for those who have subscribed: package live owns both tables. Each account counts its
-- events by itself, and the row with the count is the last thing that a transaction locks, so that the order of the
-- numbers is the order of the commits and none is missing. The secret is the key under which positions are shown.
CREATE TABLE "event_counters" (
  "account_id" bigint NOT NULL PRIMARY KEY REFERENCES "accounts" ("id") ON DELETE CASCADE,
  "last" bigint NOT NULL,
  "secret" bytea NOT NULL
) WITH (fillfactor = 60);
CREATE TABLE "events" (
  "account_id" bigint NOT NULL REFERENCES "accounts" ("id") ON DELETE CASCADE,
  "sequence" bigint NOT NULL,
  "at" timestamptz NOT NULL,
  "kind" text NOT NULL,
  "contact_id" bigint NOT NULL,
  "conversation_id" bigint NOT NULL,
  "message_id" bigint NOT NULL,
  "group_id" bigint NOT NULL,
  "user_id" bigint NOT NULL,
  "was" text NULL,
  "now" text NULL,
  PRIMARY KEY ("account_id", "sequence")
);
