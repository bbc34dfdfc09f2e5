-- +goose Up

-- Where conversations stood: one row for each period during which one stood in one group, waiting or with one agent.
-- Package desk owns the table; reports are made of it. Moments are microseconds since 1970, as in contacts.sort_key;
-- the end of what lasts is the greatest number, so that what was there at or after a moment is one range of the index.
-- entered: how the stay began: 0 moved on from the one before, 1 the contact wrote, 2 a user opened the conversation,
-- 3 passed on by an agent, which closed the conversation before. ending: 0 moved on or lasts, 1 closed, 2 passed on.
-- begun_at: when the conversation was opened, or the first of those that were passed on to it. unanswered: whether the
-- contact, who had written, had no answer yet when the stay began; answered_at: the answer, if it came within the stay.
CREATE TABLE `stays` (
  `id` integer NOT NULL PRIMARY KEY,
  `account_id` integer NOT NULL,
  `contact_id` integer NOT NULL,
  `conversation_id` integer NOT NULL,
  `group_id` integer NOT NULL,
  `agent_id` integer NULL,
  `started_at` integer NOT NULL,
  `ended_at` integer NOT NULL DEFAULT 9223372036854775807,
  `entered` integer NOT NULL,
  `ending` integer NOT NULL DEFAULT 0,
  `begun_at` integer NOT NULL,
  `unanswered` bool NOT NULL,
  `answered_at` integer NULL,
  FOREIGN KEY (`account_id`, `conversation_id`) REFERENCES `conversations` (`account_id`, `id`) ON DELETE CASCADE,
  FOREIGN KEY (`account_id`, `group_id`) REFERENCES `groups` (`account_id`, `id`)
);

INSERT INTO stays (account_id, contact_id, conversation_id, group_id, agent_id, started_at, ended_at, entered, ending, begun_at, unanswered, answered_at)
WITH RECURSIVE
-- Conversations with where they came from: one that was passed on began at the moment at which the one before was closed.
linked AS (
  SELECT v.id, v.account_id, v.contact_id, v.agent_id, v.opened_at, v.closed_at, v.opened_by_id,
    (SELECT MAX(p.id) FROM conversations AS p WHERE p.contact_id = v.contact_id AND p.id <> v.id AND p.closed_at = v.opened_at AND p.number < v.number) AS previous,
    (SELECT MIN(n.id) FROM conversations AS n WHERE n.contact_id = v.contact_id AND n.id <> v.id AND n.opened_at = v.closed_at AND n.number > v.number) AS following,
    (SELECT MIN(m.sent_at) FROM messages AS m WHERE m.conversation_id = v.id AND m.direction = 'OUTBOUND') AS answered_at,
    (SELECT MAX(a.started_at) FROM contact_assignments AS a WHERE a.contact_id = v.contact_id AND a.user_id = v.agent_id
      AND a.started_at <= COALESCE(v.closed_at, a.started_at)) AS assigned_at
  FROM conversations AS v
),
chain AS (
  SELECT id, opened_at AS begun_at, opened_by_id IS NULL AS asked, FALSE AS answered FROM linked WHERE previous IS NULL
  UNION ALL
  SELECT l.id, chain.begun_at, chain.asked, chain.answered OR p.answered_at IS NOT NULL
  FROM chain JOIN linked AS p ON p.id = chain.id JOIN linked AS l ON l.previous = p.id
),
cases AS (
  SELECT l.id, l.account_id, l.contact_id, l.agent_id, l.following, l.previous, chain.asked AND NOT chain.answered AS unanswered,
    (CAST(strftime('%s', substr(chain.begun_at, 1, 19)) AS INTEGER) * 1000000 + CASE WHEN substr(chain.begun_at, 20, 1) = '.' THEN CAST(substr(substr(chain.begun_at, 21, instr(substr(chain.begun_at, 21), '+') - 1) || '000000', 1, 6) AS INTEGER) ELSE 0 END) AS begun_at, (CAST(strftime('%s', substr(l.opened_at, 1, 19)) AS INTEGER) * 1000000 + CASE WHEN substr(l.opened_at, 20, 1) = '.' THEN CAST(substr(substr(l.opened_at, 21, instr(substr(l.opened_at, 21), '+') - 1) || '000000', 1, 6) AS INTEGER) ELSE 0 END) AS opened_at,
    CASE WHEN l.closed_at IS NULL THEN 9223372036854775807 ELSE (CAST(strftime('%s', substr(l.closed_at, 1, 19)) AS INTEGER) * 1000000 + CASE WHEN substr(l.closed_at, 20, 1) = '.' THEN CAST(substr(substr(l.closed_at, 21, instr(substr(l.closed_at, 21), '+') - 1) || '000000', 1, 6) AS INTEGER) ELSE 0 END) END AS closed_at,
    CASE WHEN l.answered_at IS NULL THEN NULL ELSE (CAST(strftime('%s', substr(l.answered_at, 1, 19)) AS INTEGER) * 1000000 + CASE WHEN substr(l.answered_at, 20, 1) = '.' THEN CAST(substr(substr(l.answered_at, 21, instr(substr(l.answered_at, 21), '+') - 1) || '000000', 1, 6) AS INTEGER) ELSE 0 END) END AS answered_at,
    CASE WHEN l.agent_id IS NULL THEN NULL WHEN l.assigned_at IS NULL OR l.assigned_at <= l.opened_at THEN (CAST(strftime('%s', substr(l.opened_at, 1, 19)) AS INTEGER) * 1000000 + CASE WHEN substr(l.opened_at, 20, 1) = '.' THEN CAST(substr(substr(l.opened_at, 21, instr(substr(l.opened_at, 21), '+') - 1) || '000000', 1, 6) AS INTEGER) ELSE 0 END) ELSE (CAST(strftime('%s', substr(l.assigned_at, 1, 19)) AS INTEGER) * 1000000 + CASE WHEN substr(l.assigned_at, 20, 1) = '.' THEN CAST(substr(substr(l.assigned_at, 21, instr(substr(l.assigned_at, 21), '+') - 1) || '000000', 1, 6) AS INTEGER) ELSE 0 END) END AS assigned_at,
    k.group_id AS stands, CASE WHEN l.agent_id IS NULL OR k.assigned_user_id = l.agent_id THEN k.group_id ELSE u.home_group_id END AS served_in,
    COALESCE((SELECT a.taken_from_group_id FROM contact_assignments AS a WHERE a.contact_id = l.contact_id AND a.user_id = l.agent_id
      AND a.started_at = l.assigned_at), k.group_id) AS waited_in, l.opened_by_id
  FROM linked AS l JOIN chain ON chain.id = l.id JOIN contacts AS k ON k.id = l.contact_id LEFT JOIN users AS u ON u.id = l.agent_id
),
parts AS (
  -- What waited, until its agent came or it was closed.
  SELECT c.*, c.waited_in AS group_id, NULL AS served_by, c.opened_at AS started_at,
    COALESCE(c.assigned_at, c.closed_at) AS ended_at, 0 AS later, c.assigned_at IS NULL AS final
  FROM cases AS c WHERE c.assigned_at IS NULL OR c.assigned_at > c.opened_at
  UNION ALL
  -- What had an agent, until it was closed.
  SELECT c.*, c.served_in, c.agent_id, c.assigned_at, c.closed_at, CASE WHEN c.assigned_at > c.opened_at THEN 1 ELSE 0 END, TRUE
  FROM cases AS c WHERE c.assigned_at IS NOT NULL
)
SELECT account_id, contact_id, id, group_id, served_by, started_at, ended_at,
  CASE WHEN later = 1 THEN 0 WHEN previous IS NOT NULL THEN 3 WHEN opened_by_id IS NULL THEN 1 ELSE 2 END,
  CASE WHEN NOT final OR ended_at = 9223372036854775807 THEN 0 WHEN following IS NOT NULL THEN 2 ELSE 1 END,
  begun_at, unanswered AND NOT (answered_at IS NOT NULL AND answered_at < started_at),
  CASE WHEN unanswered AND answered_at >= started_at AND (answered_at < ended_at OR final) THEN answered_at END
FROM parts WHERE started_at <= ended_at;

CREATE INDEX `stay_report` ON `stays` (`group_id`, `ended_at`, `started_at`, `agent_id`, `entered`, `ending`, `begun_at`, `answered_at`);
CREATE UNIQUE INDEX `stay_current` ON `stays` (`contact_id`) WHERE ended_at = 9223372036854775807;
CREATE INDEX `stay_conversation` ON `stays` (`conversation_id`);

INSERT INTO `sqlite_stat1` (`tbl`, `idx`, `stat`) VALUES
  ('stays', 'stay_report', '1000000 1000 2 2 2 2 2 2 2'),
  ('stays', 'stay_current', '100000 1'),
  ('stays', 'stay_conversation', '1000000 2');
