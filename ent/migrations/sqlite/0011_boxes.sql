-- +goose Up

CREATE TABLE `read_marks` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `sent_at` datetime NOT NULL,
  `message_id` integer NOT NULL,
  `account_id` integer NOT NULL,
  `user_id` integer NOT NULL,
  `conversation_id` integer NOT NULL,
  CONSTRAINT `read_marks_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `read_marks_users_user` FOREIGN KEY (`account_id`, `user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `read_marks_conversations_conversation` FOREIGN KEY (`account_id`, `conversation_id`) REFERENCES `conversations` (`account_id`, `id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `readmark_account_id_id` ON `read_marks` (`account_id`, `id`);
CREATE UNIQUE INDEX `read_mark` ON `read_marks` (`conversation_id`, `user_id`);
CREATE INDEX `readmark_user_id` ON `read_marks` (`user_id`);

-- The words of all that was said with a contact, folded, each once: what a search for text looks at. A prefix is a range
-- of bytes. desk writes them together with the message.
CREATE TABLE `contact_words` (
  `contact_id` integer NOT NULL,
  `word` text NOT NULL,
  PRIMARY KEY (`contact_id`, `word`),
  CONSTRAINT `contact_words_contacts_contact` FOREIGN KEY (`contact_id`) REFERENCES `contacts` (`id`) ON DELETE CASCADE
) WITHOUT ROWID;

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('read_marks', 'readmark_account_id_id', '1000000 100000 1'),
  ('read_marks', 'read_mark', '1000000 3 1'),
  ('read_marks', 'readmark_user_id', '1000000 100'),
  ('contact_words', 'contact_words', '1000000 100 1');
