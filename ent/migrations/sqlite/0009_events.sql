-- +goose Up

-- What happened in an account, for those who have subscribed: package live owns both tables. Each account counts its
-- events by itself, and the row with the count is the last thing that a transaction locks, so that the order of the
-- numbers is the order of the commits and none is missing. The secret is the key under which positions are shown.
CREATE TABLE `event_counters` (
  `account_id` integer NOT NULL PRIMARY KEY REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  `last` integer NOT NULL,
  `secret` blob NOT NULL
);
CREATE TABLE `events` (
  `account_id` integer NOT NULL REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  `sequence` integer NOT NULL,
  `at` datetime NOT NULL,
  `kind` text NOT NULL,
  `contact_id` integer NOT NULL,
  `conversation_id` integer NOT NULL,
  `message_id` integer NOT NULL,
  `group_id` integer NOT NULL,
  `user_id` integer NOT NULL,
  `was` text NULL,
  `now` text NULL,
  PRIMARY KEY (`account_id`, `sequence`)
) WITHOUT ROWID;

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('events', 'events', '1000000 100000 1');
