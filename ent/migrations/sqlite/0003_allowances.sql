-- +goose Up

-- What is left of the attempts that somebody may make, for store.DB.Spend. Which attempts, and whose, only the hash of
-- the key knows. A row means nothing any more once its time is over, and goes when the next ones come.
CREATE TABLE `allowances` (
  `key` blob NOT NULL PRIMARY KEY,
  `spent_until` integer NOT NULL
) WITHOUT ROWID;
CREATE INDEX `allowance_spent_until` ON `allowances` (`spent_until`);

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('allowances', 'allowances', '1000000 1'),
  ('allowances', 'allowance_spent_until', '1000000 2');
