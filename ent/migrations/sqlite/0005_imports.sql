-- +goose Up

CREATE TABLE `import_runs` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `kind` text NOT NULL,
  `fingerprint` text NOT NULL,
  `rows_done` integer NOT NULL DEFAULT (0),
  `created` integer NOT NULL DEFAULT (0),
  `existed` integer NOT NULL DEFAULT (0),
  `refused` integer NOT NULL DEFAULT (0),
  `started_at` datetime NOT NULL,
  `finished_at` datetime NULL,
  `account_id` integer NOT NULL,
  `user_id` integer NOT NULL,
  CONSTRAINT `import_runs_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `import_runs_users_user` FOREIGN KEY (`account_id`, `user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `importrun_account_id_id` ON `import_runs` (`account_id`, `id`);
CREATE INDEX `importrun_user_id_fingerprint` ON `import_runs` (`user_id`, `fingerprint`);
CREATE UNIQUE INDEX `import_one_open` ON `import_runs` (`account_id`, `user_id`, `kind`, `fingerprint`) WHERE finished_at IS NULL;

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('import_runs', 'importrun_account_id_id', '1000000 100000 1'),
  ('import_runs', 'importrun_user_id_fingerprint', '1000000 1000 2'),
  ('import_runs', 'import_one_open', '1000000 100000 1000 300 1');
