-- +goose Up
-- Lists of what runs out soon, and of what ran out lately, begin at a moment.
CREATE INDEX `rolegrant_account_id_valid_until` ON `role_grants` (`account_id`, `valid_until`);
INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES ('role_grants', 'rolegrant_account_id_valid_until', '1000000 100000 2');
