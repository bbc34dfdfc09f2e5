-- +goose Up

CREATE TABLE `group_moves` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `total` integer NOT NULL,
  `carried` integer NOT NULL DEFAULT (0),
  `last_box` integer NOT NULL,
  `last_sort_key` integer NOT NULL,
  `last_contact_id` integer NOT NULL,
  `started_at` datetime NOT NULL,
  `finished_at` datetime NULL,
  `account_id` integer NOT NULL,
  `group_id` integer NOT NULL,
  CONSTRAINT `group_moves_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `group_moves_groups_group` FOREIGN KEY (`account_id`, `group_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `groupmove_account_id_id` ON `group_moves` (`account_id`, `id`);
CREATE INDEX `groupmove_group_id` ON `group_moves` (`group_id`);
CREATE INDEX `groupmove_account_id_started_at` ON `group_moves` (`account_id`, `started_at`);
CREATE INDEX `groupmove_under_way` ON `group_moves` (`account_id`) WHERE finished_at IS NULL;

-- Which lists a branch is leaving or entering while its scope rows are carried. Package tree owns the table.
CREATE TABLE `detours` (
  `scope_id` integer NOT NULL,
  `move_id` integer NOT NULL REFERENCES `group_moves` (`id`) ON DELETE CASCADE,
  `account_id` integer NOT NULL,
  `group_id` integer NOT NULL,
  `entering` bool NOT NULL,
  PRIMARY KEY (`scope_id`, `move_id`)
) WITHOUT ROWID;
CREATE INDEX `detour_move` ON `detours` (`move_id`);
CREATE INDEX `detour_account` ON `detours` (`account_id`);

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('group_moves', 'groupmove_under_way', '1000 1'),
  ('group_moves', 'groupmove_account_id_started_at', '1000 100 1'),
  ('group_moves', 'groupmove_group_id', '1000 2'),
  ('group_moves', 'groupmove_account_id_id', '1000 100 1'),
  ('detours', 'detours', '20 1 1'),
  ('detours', 'detour_move', '20 10'),
  ('detours', 'detour_account', '20 20');
