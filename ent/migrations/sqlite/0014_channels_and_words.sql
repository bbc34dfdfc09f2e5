-- +goose Up

-- From whom a contact came to wait.
ALTER TABLE `contacts` ADD COLUMN `passed_on_from_id` integer NULL;

-- An integration's own id for a message is one of a kind on its channel. What arrived before did so on its contact's channel.
ALTER TABLE `messages` ADD COLUMN `channel` text NULL;
UPDATE `messages` SET `channel` = (SELECT k.channel FROM `conversations` AS v JOIN `contacts` AS k ON k.id = v.contact_id WHERE v.id = `messages`.conversation_id)
  WHERE `external_id` IS NOT NULL;
DROP INDEX `message_external_id`;
CREATE UNIQUE INDEX `message_external_id` ON `messages` (`account_id`, `channel`, `external_id`);

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('messages', 'message_external_id', '1000000 100000 20000 1');

-- A search looks at words that are noted when something is said; what was said before is noted a part at a time, the newest
-- first, by what runs timers.
INSERT INTO `timers` (`kind`, `subject_id`, `account_id`, `due_at`) SELECT 'NOTE_WORDS', MAX(`id`), `account_id`, 0 FROM `messages` GROUP BY `account_id`;

-- A contact with nothing open that waits is sorted by since when it does, in the queue and among those that are closed.
UPDATE `contacts` SET `waiting_since` = `last_activity_at` WHERE `assigned_user_id` IS NULL AND `box` = 4;

-- What the settings in force say of contacts that wait or are open is done from now on; so is giving out what waits once somebody
-- may serve whose grant is still to come.
INSERT INTO `timers` (`kind`, `subject_id`, `account_id`, `due_at`)
  SELECT DISTINCT 'REVIEW', `group_id`, `account_id`, 0 FROM `contacts` WHERE `box` < 4;
INSERT INTO `timers` (`kind`, `subject_id`, `account_id`, `due_at`)
  SELECT 'GRANT_BEGINS', `id`, `account_id`, 0 FROM `role_grants` WHERE `revoked_at` IS NULL AND `valid_from` > CURRENT_TIMESTAMP;
