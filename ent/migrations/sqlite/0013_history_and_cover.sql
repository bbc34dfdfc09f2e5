-- +goose Up

CREATE TABLE `covers` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `reason` text NOT NULL DEFAULT (''),
  `started_at` datetime NOT NULL,
  `ends_at` datetime NOT NULL,
  `ended_at` datetime NULL,
  `account_id` integer NOT NULL,
  `user_id` integer NOT NULL,
  `to_id` integer NOT NULL,
  `started_by_id` integer NOT NULL,
  CONSTRAINT `covers_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `covers_users_user` FOREIGN KEY (`account_id`, `user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `covers_users_to` FOREIGN KEY (`account_id`, `to_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `covers_users_started_by` FOREIGN KEY (`account_id`, `started_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `cover_account_id_id` ON `covers` (`account_id`, `id`);
CREATE UNIQUE INDEX `cover_one_current` ON `covers` (`user_id`) WHERE ended_at IS NULL;
CREATE INDEX `cover_to_id` ON `covers` (`to_id`) WHERE ended_at IS NULL;
CREATE TABLE `history_entries` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `kind` text NOT NULL,
  `at` datetime NOT NULL,
  `from_agent_id` integer NULL,
  `from_group_id` integer NULL,
  `to_group_id` integer NULL,
  `method` text NULL,
  `explanation` text NOT NULL,
  `reason` text NOT NULL DEFAULT (''),
  `considered` json NULL,
  `account_id` integer NOT NULL,
  `contact_id` integer NOT NULL,
  `conversation_id` integer NULL,
  `previous_conversation_id` integer NULL,
  `assignment_id` integer NULL,
  `done_by_id` integer NULL,
  `to_agent_id` integer NULL,
  `cover_id` integer NULL,
  CONSTRAINT `history_entries_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `history_entries_contacts_contact` FOREIGN KEY (`account_id`, `contact_id`) REFERENCES `contacts` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `history_entries_conversations_conversation` FOREIGN KEY (`account_id`, `conversation_id`) REFERENCES `conversations` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `history_entries_conversations_previous_conversation` FOREIGN KEY (`account_id`, `previous_conversation_id`) REFERENCES `conversations` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `history_entries_contact_assignments_assignment` FOREIGN KEY (`account_id`, `assignment_id`) REFERENCES `contact_assignments` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `history_entries_users_done_by` FOREIGN KEY (`account_id`, `done_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `history_entries_users_to_agent` FOREIGN KEY (`account_id`, `to_agent_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `history_entries_covers_cover` FOREIGN KEY (`account_id`, `cover_id`) REFERENCES `covers` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `historyentry_account_id_id` ON `history_entries` (`account_id`, `id`);
CREATE INDEX `historyentry_contact_id` ON `history_entries` (`contact_id`);
CREATE INDEX `historyentry_conversation_id` ON `history_entries` (`conversation_id`);
CREATE INDEX `historyentry_previous_conversation_id` ON `history_entries` (`previous_conversation_id`) WHERE previous_conversation_id IS NOT NULL;
CREATE INDEX `historyentry_assignment_id` ON `history_entries` (`assignment_id`) WHERE assignment_id IS NOT NULL;
CREATE INDEX `historyentry_cover_id` ON `history_entries` (`cover_id`) WHERE cover_id IS NOT NULL;

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('covers', 'cover_account_id_id', '1000000 100000 1'),
  ('covers', 'cover_one_current', '1000000 1'),
  ('covers', 'cover_to_id', '1000000 2'),
  ('history_entries', 'historyentry_account_id_id', '1000000 100000 1'),
  ('history_entries', 'historyentry_contact_id', '1000000 10'),
  ('history_entries', 'historyentry_conversation_id', '1000000 5'),
  ('history_entries', 'historyentry_previous_conversation_id', '1000000 1'),
  ('history_entries', 'historyentry_assignment_id', '1000000 1'),
  ('history_entries', 'historyentry_cover_id', '1000000 20');
