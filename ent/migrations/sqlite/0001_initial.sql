-- +goose Up

CREATE TABLE `accounts` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `slug` text NOT NULL,
  `plan` text NOT NULL,
  `group_creation` text NOT NULL DEFAULT ('SELF_SERVICE'),
  `custom_roles_enabled` bool NOT NULL DEFAULT (true),
  `reason_required` bool NOT NULL DEFAULT (false),
  `next_conversation_number` integer NOT NULL DEFAULT (1),
  `created_at` datetime NOT NULL,
  `primary_owner_id` integer NULL,
  CONSTRAINT `accounts_users_primary_owner` FOREIGN KEY (`id`, `primary_owner_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `accounts_slug_key` ON `accounts` (`slug`);

CREATE TABLE `audit_events` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `at` datetime NOT NULL,
  `action` text NOT NULL,
  `target_kind` text NOT NULL,
  `target_id` integer NOT NULL,
  `before` json NULL,
  `after` json NULL,
  `reason` text NOT NULL DEFAULT (''),
  `request_id` text NOT NULL DEFAULT (''),
  `account_id` integer NOT NULL,
  `user_id` integer NULL,
  CONSTRAINT `audit_events_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `audit_events_users_user` FOREIGN KEY (`account_id`, `user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `auditevent_account_id_id` ON `audit_events` (`account_id`, `id`);
CREATE INDEX `auditevent_account_id_at` ON `audit_events` (`account_id`, `at`);
CREATE INDEX `auditevent_account_id_target_kind_target_id` ON `audit_events` (`account_id`, `target_kind`, `target_id`);
CREATE INDEX `auditevent_account_id_user_id` ON `audit_events` (`account_id`, `user_id`);

CREATE TABLE `contacts` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `phone` text NULL,
  `email` text NULL,
  `channel` text NULL,
  `address` text NULL,
  `box` integer NOT NULL DEFAULT (0),
  `sort_key` integer NOT NULL,
  `last_activity_at` datetime NOT NULL,
  `waiting_since` datetime NULL,
  `created_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `group_id` integer NOT NULL,
  `arrival_group_id` integer NOT NULL,
  `assigned_user_id` integer NULL,
  CONSTRAINT `contacts_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `contacts_groups_group` FOREIGN KEY (`account_id`, `group_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `contacts_groups_arrival_group` FOREIGN KEY (`account_id`, `arrival_group_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `contacts_users_assigned_user` FOREIGN KEY (`account_id`, `assigned_user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `contact_account_id_id` ON `contacts` (`account_id`, `id`);
CREATE INDEX `contact_group_id_box_sort_key` ON `contacts` (`group_id`, `box`, `sort_key`);
CREATE INDEX `contact_assigned_user_id_box_sort_key` ON `contacts` (`assigned_user_id`, `box`, `sort_key`);
CREATE INDEX `contact_arrival_group_id` ON `contacts` (`arrival_group_id`);
CREATE INDEX `contact_account_id_phone` ON `contacts` (`account_id`, `phone`);
CREATE UNIQUE INDEX `contact_address` ON `contacts` (`account_id`, `channel`, `address`) WHERE channel IS NOT NULL;

CREATE TABLE `contact_assignments` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `method` text NOT NULL,
  `explanation` text NOT NULL,
  `started_at` datetime NOT NULL,
  `ended_at` datetime NULL,
  `account_id` integer NOT NULL,
  `contact_id` integer NOT NULL,
  `user_id` integer NOT NULL,
  `assigned_by_id` integer NULL,
  `taken_from_group_id` integer NULL,
  CONSTRAINT `contact_assignments_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `contact_assignments_contacts_contact` FOREIGN KEY (`account_id`, `contact_id`) REFERENCES `contacts` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `contact_assignments_users_user` FOREIGN KEY (`account_id`, `user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `contact_assignments_users_assigned_by` FOREIGN KEY (`account_id`, `assigned_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `contact_assignments_groups_taken_from_group` FOREIGN KEY (`account_id`, `taken_from_group_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `contactassignment_account_id_id` ON `contact_assignments` (`account_id`, `id`);
CREATE UNIQUE INDEX `assignment_one_current` ON `contact_assignments` (`contact_id`) WHERE ended_at IS NULL;
CREATE INDEX `contactassignment_contact_id_started_at` ON `contact_assignments` (`contact_id`, `started_at`);
CREATE INDEX `contactassignment_user_id_started_at` ON `contact_assignments` (`user_id`, `started_at`);
CREATE INDEX `contactassignment_taken_from_group_id` ON `contact_assignments` (`taken_from_group_id`);

CREATE TABLE `conversations` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `number` integer NOT NULL,
  `subject` text NOT NULL DEFAULT (''),
  `opened_at` datetime NOT NULL,
  `closed_at` datetime NULL,
  `account_id` integer NOT NULL,
  `contact_id` integer NOT NULL,
  `agent_id` integer NULL,
  `opened_by_id` integer NULL,
  `closed_by_id` integer NULL,
  CONSTRAINT `conversations_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `conversations_contacts_contact` FOREIGN KEY (`account_id`, `contact_id`) REFERENCES `contacts` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `conversations_users_agent` FOREIGN KEY (`account_id`, `agent_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `conversations_users_opened_by` FOREIGN KEY (`account_id`, `opened_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `conversations_users_closed_by` FOREIGN KEY (`account_id`, `closed_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `conversation_account_id_id` ON `conversations` (`account_id`, `id`);
CREATE UNIQUE INDEX `conversation_one_open` ON `conversations` (`contact_id`) WHERE closed_at IS NULL;
CREATE INDEX `conversation_contact_id_opened_at` ON `conversations` (`contact_id`, `opened_at`);
CREATE UNIQUE INDEX `conversation_number` ON `conversations` (`account_id`, `number`);

CREATE TABLE `groups` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `path` text NOT NULL,
  `depth` integer NOT NULL,
  `wall` text NOT NULL DEFAULT (''),
  `visibility` text NOT NULL DEFAULT ('INHERITED'),
  `shared_inbox` bool NULL,
  `assignment_mode` text NULL,
  `capacity` integer NULL,
  `radar_window` integer NULL,
  `escalate_after` integer NULL,
  `reassign_after` integer NULL,
  `close_after` integer NULL,
  `created_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `parent_id` integer NULL,
  CONSTRAINT `groups_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `groups_groups_children` FOREIGN KEY (`account_id`, `parent_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `group_depth` CHECK (depth BETWEEN 0 AND 64),
  CONSTRAINT `group_root_depth` CHECK (parent_id IS NULL AND depth = 0 OR parent_id IS NOT NULL AND depth > 0)
);
CREATE UNIQUE INDEX `group_account_id_id` ON `groups` (`account_id`, `id`);
CREATE INDEX `group_tree` ON `groups` (`account_id`, `path`, `parent_id`, `depth`, `name`);
CREATE UNIQUE INDEX `group_sibling_name` ON `groups` (`account_id`, `parent_id`, `name_key`);
CREATE UNIQUE INDEX `group_one_root` ON `groups` (`account_id`) WHERE parent_id IS NULL;

CREATE TABLE `group_requests` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `reason` text NOT NULL DEFAULT (''),
  `status` text NOT NULL DEFAULT ('PENDING'),
  `decision_note` text NOT NULL DEFAULT (''),
  `decided_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `parent_id` integer NOT NULL,
  `requested_by_id` integer NOT NULL,
  `group_id` integer NULL,
  CONSTRAINT `group_requests_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `group_requests_groups_parent` FOREIGN KEY (`account_id`, `parent_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `group_requests_users_requested_by` FOREIGN KEY (`account_id`, `requested_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `group_requests_groups_group` FOREIGN KEY (`account_id`, `group_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `grouprequest_account_id_id` ON `group_requests` (`account_id`, `id`);
CREATE INDEX `grouprequest_account_id_status` ON `group_requests` (`account_id`, `status`);
CREATE INDEX `grouprequest_parent_id` ON `group_requests` (`parent_id`);
CREATE INDEX `grouprequest_group_id` ON `group_requests` (`group_id`);

CREATE TABLE `messages` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `direction` text NOT NULL,
  `text` text NOT NULL,
  `external_id` text NULL,
  `sent_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `conversation_id` integer NOT NULL,
  `author_id` integer NULL,
  CONSTRAINT `messages_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `messages_conversations_conversation` FOREIGN KEY (`account_id`, `conversation_id`) REFERENCES `conversations` (`account_id`, `id`) ON DELETE CASCADE,
  CONSTRAINT `messages_users_author` FOREIGN KEY (`account_id`, `author_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `message_account_id_id` ON `messages` (`account_id`, `id`);
CREATE INDEX `message_conversation_id_sent_at` ON `messages` (`conversation_id`, `sent_at`);
CREATE UNIQUE INDEX `message_external_id` ON `messages` (`account_id`, `external_id`);

CREATE TABLE `roles` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `key` text NULL,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `description` text NOT NULL DEFAULT (''),
  `policy_note` text NOT NULL DEFAULT (''),
  `pairs` json NULL,
  `created_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  CONSTRAINT `roles_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `role_account_id_id` ON `roles` (`account_id`, `id`);
CREATE UNIQUE INDEX `role_name` ON `roles` (`account_id`, `name_key`);
CREATE UNIQUE INDEX `role_key` ON `roles` (`account_id`, `key`);

CREATE TABLE `role_grants` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `valid_from` datetime NOT NULL,
  `valid_until` datetime NULL,
  `reason` text NOT NULL DEFAULT (''),
  `revoked_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `user_id` integer NOT NULL,
  `role_id` integer NOT NULL,
  `group_id` integer NULL,
  `granted_by_id` integer NULL,
  `revoked_by_id` integer NULL,
  CONSTRAINT `role_grants_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `role_grants_users_user` FOREIGN KEY (`account_id`, `user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `role_grants_roles_role` FOREIGN KEY (`account_id`, `role_id`) REFERENCES `roles` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `role_grants_groups_group` FOREIGN KEY (`account_id`, `group_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `role_grants_users_granted_by` FOREIGN KEY (`account_id`, `granted_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION,
  CONSTRAINT `role_grants_users_revoked_by` FOREIGN KEY (`account_id`, `revoked_by_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `rolegrant_account_id_id` ON `role_grants` (`account_id`, `id`);
CREATE INDEX `rolegrant_user_id` ON `role_grants` (`user_id`);
CREATE INDEX `rolegrant_role_id` ON `role_grants` (`role_id`);
CREATE INDEX `rolegrant_group_id` ON `role_grants` (`group_id`);

CREATE TABLE `sessions` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `token_hash` text NOT NULL,
  `kind` text NOT NULL,
  `created_at` datetime NOT NULL,
  `expires_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `user_id` integer NOT NULL,
  CONSTRAINT `sessions_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `sessions_users_user` FOREIGN KEY (`account_id`, `user_id`) REFERENCES `users` (`account_id`, `id`) ON DELETE CASCADE
);
CREATE UNIQUE INDEX `sessions_token_hash_key` ON `sessions` (`token_hash`);
CREATE UNIQUE INDEX `session_account_id_id` ON `sessions` (`account_id`, `id`);
CREATE INDEX `session_user_id` ON `sessions` (`user_id`);

CREATE TABLE `users` (
  `id` integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `email` text NOT NULL,
  `email_key` text NOT NULL,
  `password_hash` text NULL,
  `setup_token_hash` text NULL,
  `setup_expires_at` datetime NULL,
  `status` text NOT NULL DEFAULT ('INVITED'),
  `availability` text NOT NULL DEFAULT ('AWAY'),
  `capacity` integer NULL,
  `access_paused_at` datetime NULL,
  `deactivated_at` datetime NULL,
  `created_at` datetime NOT NULL,
  `account_id` integer NOT NULL,
  `home_group_id` integer NOT NULL,
  CONSTRAINT `users_accounts_account` FOREIGN KEY (`account_id`) REFERENCES `accounts` (`id`) ON DELETE CASCADE,
  CONSTRAINT `users_groups_home_group` FOREIGN KEY (`account_id`, `home_group_id`) REFERENCES `groups` (`account_id`, `id`) ON DELETE NO ACTION
);
CREATE UNIQUE INDEX `user_account_id_id` ON `users` (`account_id`, `id`);
CREATE UNIQUE INDEX `user_email` ON `users` (`account_id`, `email_key`);
CREATE INDEX `user_login` ON `users` (`email_key`);
CREATE INDEX `user_home_group_id_name_key` ON `users` (`home_group_id`, `name_key`);
CREATE UNIQUE INDEX `user_setup_token_hash` ON `users` (`setup_token_hash`);

CREATE TABLE `role_may_give` (
  `role_id` integer NOT NULL,
  `given_id` integer NOT NULL,
  PRIMARY KEY (`role_id`, `given_id`),
  CONSTRAINT `role_may_give_role_id` FOREIGN KEY (`role_id`) REFERENCES `roles` (`id`) ON DELETE CASCADE,
  CONSTRAINT `role_may_give_given_id` FOREIGN KEY (`given_id`) REFERENCES `roles` (`id`) ON DELETE CASCADE
);

-- Tables of package tree, which Ent does not know.

-- One row per contact and scope that reaches it: each group at or above the contact's, up to a wall, and the account
-- (as its number below zero). No foreign keys: package tree writes and removes the rows, and a page is read from the
-- key alone.
CREATE TABLE `scopes` (
  `scope_id` integer NOT NULL,
  `box` integer NOT NULL,
  `sort_key` integer NOT NULL,
  `contact_id` integer NOT NULL,
  PRIMARY KEY (`scope_id`, `box`, `sort_key`, `contact_id`)
) WITHOUT ROWID;

-- Totals of a group's subtree, the group included.
CREATE TABLE `group_counters` (
  `group_id` integer NOT NULL PRIMARY KEY REFERENCES `groups` (`id`) ON DELETE CASCADE,
  `children` integer NOT NULL DEFAULT 0,
  `descendants` integer NOT NULL DEFAULT 0,
  `restricted` integer NOT NULL DEFAULT 0,
  `users` integer NOT NULL DEFAULT 0,
  `contacts` integer NOT NULL DEFAULT 0,
  `open` integer NOT NULL DEFAULT 0,
  `waiting` integer NOT NULL DEFAULT 0,
  `closed` integer NOT NULL DEFAULT 0
);

-- Statistics for the planner, of an account that has much of everything. Without any, SQLite takes every index that
-- begins with account_id for equally good, also to check a foreign key, and reads whole accounts. They are written by
-- hand rather than measured, so that plans do not depend on how much was there when somebody measured.
ANALYZE;
DELETE FROM `sqlite_stat1`;
INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('accounts', 'accounts_slug_key', '1000000 1'),
  ('audit_events', 'auditevent_account_id_user_id', '1000000 100000 100'),
  ('audit_events', 'auditevent_account_id_target_kind_target_id', '1000000 100000 33333 2'),
  ('audit_events', 'auditevent_account_id_at', '1000000 100000 2'),
  ('audit_events', 'auditevent_account_id_id', '1000000 100000 1'),
  ('contact_assignments', 'contactassignment_taken_from_group_id', '1000000 1000'),
  ('contact_assignments', 'contactassignment_user_id_started_at', '1000000 100 2'),
  ('contact_assignments', 'contactassignment_contact_id_started_at', '1000000 5 2'),
  ('contact_assignments', 'assignment_one_current', '1000000 1'),
  ('contact_assignments', 'contactassignment_account_id_id', '1000000 100000 1'),
  ('contacts', 'contact_address', '1000000 100000 2 1'),
  ('contacts', 'contact_account_id_phone', '1000000 100000 2'),
  ('contacts', 'contact_arrival_group_id', '1000000 1000'),
  ('contacts', 'contact_assigned_user_id_box_sort_key', '1000000 100 33 2'),
  ('contacts', 'contact_group_id_box_sort_key', '1000000 1000 333 2'),
  ('contacts', 'contact_account_id_id', '1000000 100000 1'),
  ('conversations', 'conversation_number', '1000000 100000 1'),
  ('conversations', 'conversation_contact_id_opened_at', '1000000 5 2'),
  ('conversations', 'conversation_one_open', '1000000 1'),
  ('conversations', 'conversation_account_id_id', '1000000 100000 1'),
  ('group_requests', 'grouprequest_group_id', '1000000 1000'),
  ('group_requests', 'grouprequest_parent_id', '1000000 20'),
  ('group_requests', 'grouprequest_account_id_status', '1000000 100000 33333'),
  ('group_requests', 'grouprequest_account_id_id', '1000000 100000 1'),
  ('groups', 'group_one_root', '1000000 1'),
  ('groups', 'group_sibling_name', '1000000 100000 20 1'),
  ('groups', 'group_tree', '1000000 100000 2 2 2 2'),
  ('groups', 'group_account_id_id', '1000000 100000 1'),
  ('messages', 'message_external_id', '1000000 100000 1'),
  ('messages', 'message_conversation_id_sent_at', '1000000 20 2'),
  ('messages', 'message_account_id_id', '1000000 100000 1'),
  ('role_grants', 'rolegrant_group_id', '1000000 1000'),
  ('role_grants', 'rolegrant_role_id', '1000000 1000'),
  ('role_grants', 'rolegrant_user_id', '1000000 100'),
  ('role_grants', 'rolegrant_account_id_id', '1000000 100000 1'),
  ('roles', 'role_key', '1000000 100000 1'),
  ('roles', 'role_name', '1000000 100000 1'),
  ('roles', 'role_account_id_id', '1000000 100000 1'),
  ('sessions', 'session_user_id', '1000000 100'),
  ('sessions', 'session_account_id_id', '1000000 100000 1'),
  ('sessions', 'sessions_token_hash_key', '1000000 1'),
  ('users', 'user_setup_token_hash', '1000000 1'),
  ('users', 'user_home_group_id_name_key', '1000000 100 2'),
  ('users', 'user_login', '1000000 2'),
  ('users', 'user_email', '1000000 100000 1'),
  ('users', 'user_account_id_id', '1000000 100000 1'),
  ('scopes', 'scopes', '1000000 1000 300 2 1');
