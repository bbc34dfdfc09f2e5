-- +goose Up
-- The row rule asks for the wall of every group that is listed: with it the index holds all that a walk takes.
DROP INDEX `group_tree`;
CREATE INDEX `group_tree` ON `groups` (`account_id`, `path`, `wall`, `parent_id`, `depth`, `name`);
DELETE FROM `sqlite_stat1` WHERE `idx` = 'group_tree';
INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES ('groups', 'group_tree', '1000000 100000 2 2 2 2 2');
