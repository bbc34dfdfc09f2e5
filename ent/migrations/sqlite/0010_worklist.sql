-- +goose Up
-- Working the inbox: priority, snoozing and reasons of closing, tags and internal notes.
ALTER TABLE `conversations` ADD COLUMN `close_reason` text NULL;
ALTER TABLE `conversations` ADD COLUMN `close_note` text NOT NULL DEFAULT '';
ALTER TABLE `conversations` ADD COLUMN `priority` text NOT NULL DEFAULT 'NORMAL';
ALTER TABLE `conversations` ADD COLUMN `snoozed_until` datetime NULL;
CREATE TABLE `conversation_tags` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `account_id` integer NOT NULL,
  `conversation_id` integer NOT NULL,
  `tag_id` integer NOT NULL,
  CONSTRAINT `conversation_tags_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `conversation_tags_conversations_conversation` FOREIGN KEY (`account_id`, `conversation_id`) REFERENCES `conversations` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `conversation_tags_tags_tag` FOREIGN KEY (`account_id`, `tag_id`) REFERENCES `tags` (`account_id`, `id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `conversationtag_account_id_id` ON `conversation_tags` (`account_id`, `id`);
CREATE UNIQUE INDEX `conversation_tag` ON `conversation_tags` (`conversation_id`, `tag_id`);
CREATE INDEX `conversationtag_tag_id` ON `conversation_tags` (`tag_id`);
CREATE TABLE `notes` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `text` text NOT NULL,
  `written_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `conversation_id` integer NOT NULL,
  `author_id` integer NOT NULL,
  CONSTRAINT `notes_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `notes_conversations_conversation` FOREIGN KEY (`account_id`, `conversation_id`) REFERENCES `conversations` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `notes_users_author` FOREIGN KEY (`account_id`, `author_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `note_account_id_id` ON `notes` (`account_id`, `id`);
CREATE INDEX `note_conversation_id_written_at` ON `notes` (`conversation_id`, `written_at`);
CREATE TABLE `tags` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `colour` text NOT NULL DEFAULT ('GREY'),
  `created_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  CONSTRAINT `tags_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `tag_account_id_id` ON `tags` (`account_id`, `id`);
CREATE UNIQUE INDEX `tag_name` ON `tags` (`account_id`, `name_key`);

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('conversation_tags', 'conversationtag_account_id_id', '1000000 100000 1'),
  ('conversation_tags', 'conversation_tag', '1000000 3 1'),
  ('conversation_tags', 'conversationtag_tag_id', '1000000 1000'),
  ('notes', 'note_account_id_id', '1000000 100000 1'),
  ('notes', 'note_conversation_id_written_at', '1000000 20 2'),
  ('tags', 'tag_account_id_id', '1000000 100000 1'),
  ('tags', 'tag_name', '1000000 100000 1');
