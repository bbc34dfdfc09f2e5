-- +goose Up

ALTER TABLE `contacts` ADD COLUMN `offered_to_id` integer NULL;
ALTER TABLE `contacts` ADD COLUMN `offer_ends_at` datetime NULL;
ALTER TABLE `contacts` ADD COLUMN `asked` json NULL;
ALTER TABLE `contacts` ADD COLUMN `escalated_to_id` integer NULL;
CREATE INDEX `contact_offered_to_id_box_sort_key` ON `contacts` (`offered_to_id`, `box`, `sort_key`) WHERE offered_to_id IS NOT NULL;
CREATE INDEX `contact_escalated_to_id_box_sort_key` ON `contacts` (`escalated_to_id`, `box`, `sort_key`) WHERE escalated_to_id IS NOT NULL;
ALTER TABLE `contact_assignments` ADD COLUMN `escalated_to_id` integer NULL;
ALTER TABLE `contact_assignments` ADD COLUMN `offered_to_id` integer NULL;
ALTER TABLE `users` ADD COLUMN `working_hours` json NULL;
ALTER TABLE `users` ADD COLUMN `turn` integer NOT NULL DEFAULT 0;

-- What is due at a moment, for package timers. Any process may take it up.
CREATE TABLE `timers` (
  `kind` text NOT NULL,
  `subject_id` integer NOT NULL,
  `account_id` integer NOT NULL REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  `due_at` integer NOT NULL,
  `setting` integer NOT NULL DEFAULT 1,
  `failures` integer NOT NULL DEFAULT 0,
  PRIMARY KEY (`kind`, `subject_id`)
) WITHOUT ROWID;
CREATE INDEX `timer_due_at` ON `timers` (`due_at`);

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('contacts', 'contact_offered_to_id_box_sort_key', '1000 5 3 1'),
  ('contacts', 'contact_escalated_to_id_box_sort_key', '10000 1000 333 2'),
  ('timers', 'timers', '1000000 200000 1'),
  ('timers', 'timer_due_at', '1000000 2');
