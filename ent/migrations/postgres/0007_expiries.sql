-- +goose Up
-- Lists of what runs out soon, and of what ran out lately, begin at a moment.
CREATE INDEX "rolegrant_account_id_valid_until" ON "role_grants" ("account_id", "valid_until");
