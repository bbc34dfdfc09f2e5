-- +goose Up

-- What is left of the attempts that somebody may make, for store.DB.Spend. Which attempts, and whose, only the hash of
-- the key knows. A row means nothing any more once its time is over, and goes when the next ones come.
CREATE TABLE "allowances" (
  "key" bytea NOT NULL PRIMARY KEY,
  "spent_until" bigint NOT NULL
);
CREATE INDEX "allowance_spent_until" ON "allowances" ("spent_until");
