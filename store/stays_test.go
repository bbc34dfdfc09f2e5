package store_test

import (
	"path"
	"strings"
	"testing"

	"canopy/internal/testdb"
	"canopy/store"
)

// TestStaysAreMadeOfWhatWasThere upgrades a database in which conversations had been served before there were stays.
func TestStaysAreMadeOfWhatWasThere(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		db := open(t, url)
		before := files(t, db, "")
		for name := range before {
			if path.Base(name) >= "0012_" {
				delete(before, name)
			}
		}
		if err := db.MigrateFrom(trusted(), before); err != nil {
			t.Fatal(err)
		}
		for _, statement := range servedBefore {
			mustExecute(t, db, statement)
		}
		if err := db.MigrateFrom(trusted(), files(t, db, "")); err != nil {
			t.Fatal(err)
		}
		if got := staysOf(t, db); got != strings.TrimSpace(staysAfter) {
			t.Errorf("the stays are\n%s\nwant\n%s", got, strings.TrimSpace(staysAfter))
		}
	})
}

// TestWhatIsDueFromBeforeTimersIsDone upgrades a database with messages from before they had a channel, and from before
// anything was done at its time.
func TestWhatIsDueFromBeforeTimersIsDone(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		db := open(t, url)
		before := files(t, db, "")
		for name := range before {
			if path.Base(name) >= "0014_" {
				delete(before, name)
			}
		}
		if err := db.MigrateFrom(trusted(), before); err != nil {
			t.Fatal(err)
		}
		for _, statement := range servedBefore {
			mustExecute(t, db, statement)
		}
		mustExecute(t, db, "UPDATE contacts SET channel = 'sms', address = id")
		mustExecute(t, db, "UPDATE messages SET external_id = id WHERE direction = 'INBOUND'")
		mustExecute(t, db, "UPDATE contacts SET box = 4 WHERE id = 4")
		mustExecute(t, db, "INSERT INTO roles (id, account_id, key, name, name_key, created_at) VALUES (1, 1, 'AGENT', 'a', 'a', '2026-01-01 00:00:00+00:00')")
		mustExecute(t, db, `INSERT INTO role_grants (id, account_id, user_id, role_id, created_at, valid_from, revoked_at) VALUES
			(1, 1, 1, 1, '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00', NULL),
			(2, 1, 1, 1, '2026-01-01 00:00:00+00:00', '2999-01-01 00:00:00+00:00', NULL),
			(3, 1, 1, 1, '2026-01-01 00:00:00+00:00', '2999-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00')`)
		if err := db.MigrateFrom(trusted(), files(t, db, "")); err != nil {
			t.Fatal(err)
		}
		var wrong, due, reviewed, begins int
		scan(t, db, "SELECT count(*) FROM messages WHERE COALESCE(channel, '') <> CASE direction WHEN 'INBOUND' THEN 'sms' ELSE '' END", &wrong)
		scan(t, db, "SELECT count(*) FROM timers WHERE kind = 'NOTE_WORDS' AND account_id = 1 AND subject_id = (SELECT MAX(id) FROM messages)", &due)
		scan(t, db, "SELECT SUM(subject_id * subject_id) FROM timers WHERE kind = 'REVIEW'", &reviewed)
		scan(t, db, "SELECT SUM(subject_id * subject_id) FROM timers WHERE kind = 'GRANT_BEGINS'", &begins)
		if wrong != 0 || due != 1 {
			t.Errorf("%d messages have a wrong channel, and %d timers note words", wrong, due)
		}
		if reviewed != 1*1+3*3 || begins != 2*2 {
			t.Errorf("other groups than the two in which something waits or is open are reviewed, or the wrong grants begin: %d, %d", reviewed, begins)
		}
	})
}

// servedBefore is: contact 1 wrote, waited in the root, was taken by 1 of the group 2, who answered after half a second,
// passed it on to 2 of the group 3, who answered and closed it; it wrote again and waits. Contact 2 was spoken to by 2,
// who serves it still. Contact 3 wrote, was passed on before anybody had answered, and closed without an answer.
// Contact 4 wrote and was closed by a supervisor while it waited.
var servedBefore = []string{
	`INSERT INTO accounts (id, name, slug, plan, created_at) VALUES (1, 'a', 'a', 'PRO', '2026-01-01 00:00:00+00:00')`,
	`INSERT INTO groups (id, account_id, parent_id, name, name_key, path, depth, created_at) VALUES
		(1, 1, NULL, 'r', 'r', 'a', 0, '2026-01-01 00:00:00+00:00'),
		(2, 1, 1, 's', 's', 'ab', 1, '2026-01-01 00:00:00+00:00'), (3, 1, 1, 't', 't', 'ac', 1, '2026-01-01 00:00:00+00:00')`,
	`INSERT INTO users (id, account_id, home_group_id, name, name_key, email, email_key, status, created_at) VALUES
		(1, 1, 2, 'x', 'x', 'x', 'x', 'ACTIVE', '2026-01-01 00:00:00+00:00'), (2, 1, 3, 'y', 'y', 'y', 'y', 'ACTIVE', '2026-01-01 00:00:00+00:00')`,
	`INSERT INTO contacts (id, account_id, group_id, arrival_group_id, assigned_user_id, name, name_key, sort_key, last_activity_at, created_at) VALUES
		(1, 1, 1, 1, NULL, 'k', 'k', 1, '2026-01-02 00:00:00+00:00', '2026-01-01 00:00:00+00:00'),
		(2, 1, 3, 1, 2, 'l', 'l', 1, '2026-01-02 00:00:00+00:00', '2026-01-01 00:00:00+00:00'),
		(3, 1, 3, 1, 2, 'm', 'm', 1, '2026-01-02 00:00:00+00:00', '2026-01-01 00:00:00+00:00'),
		(4, 1, 2, 1, NULL, 'n', 'n', 1, '2026-01-02 00:00:00+00:00', '2026-01-01 00:00:00+00:00')`,
	`INSERT INTO contact_assignments (account_id, contact_id, user_id, taken_from_group_id, method, explanation, started_at, ended_at) VALUES
		(1, 1, 1, 1, 'CLAIM', '', '2026-01-02 10:00:10.25+00:00', '2026-01-02 11:00:00+00:00'),
		(1, 1, 2, NULL, 'TRANSFERRED', '', '2026-01-02 11:00:00+00:00', '2026-01-02 13:00:00+00:00'),
		(1, 2, 2, 1, 'OPENED', '', '2026-01-02 10:00:00+00:00', NULL),
		(1, 3, 1, 1, 'CLAIM', '', '2026-01-02 10:00:01+00:00', '2026-01-02 11:00:00+00:00'),
		(1, 3, 2, NULL, 'TRANSFERRED', '', '2026-01-02 11:00:00+00:00', NULL)`,
	`INSERT INTO conversations (id, account_id, contact_id, number, subject, agent_id, opened_at, opened_by_id, closed_at) VALUES
		(1, 1, 1, 1, '', 1, '2026-01-02 10:00:00.000001+00:00', NULL, '2026-01-02 11:00:00+00:00'),
		(2, 1, 1, 2, '', 2, '2026-01-02 11:00:00+00:00', 1, '2026-01-02 12:00:00+00:00'),
		(3, 1, 1, 3, '', NULL, '2026-01-02 13:00:00+00:00', NULL, NULL),
		(4, 1, 2, 4, '', 2, '2026-01-02 10:00:00+00:00', 2, NULL),
		(5, 1, 3, 5, '', 1, '2026-01-02 10:00:00+00:00', NULL, '2026-01-02 11:00:00+00:00'),
		(6, 1, 3, 6, '', 2, '2026-01-02 11:00:00+00:00', 1, '2026-01-02 12:00:00+00:00'),
		(7, 1, 4, 7, '', NULL, '2026-01-02 10:00:00+00:00', NULL, '2026-01-02 10:30:00+00:00')`,
	`INSERT INTO messages (account_id, conversation_id, direction, author_id, text, sent_at) VALUES
		(1, 1, 'INBOUND', NULL, 'a', '2026-01-02 10:00:00.000001+00:00'), (1, 1, 'OUTBOUND', 1, 'b', '2026-01-02 10:00:10.75+00:00'),
		(1, 2, 'OUTBOUND', 2, 'c', '2026-01-02 11:10:00+00:00'), (1, 4, 'OUTBOUND', 2, 'd', '2026-01-02 10:00:05+00:00')`,
}

// staysAfter has conversation, group, agent, start and end in microseconds after ten o'clock, how it began and ended,
// when what it continues began, whether an answer was due, and the answer.
const staysAfter = `
1 1 nobody 1 10250000 1 0 1 due -
1 2 1 10250000 3600000000 0 2 1 due 10750000
2 3 2 3600000000 7200000000 3 1 1 - -
3 1 nobody 10800000000 lasts 1 0 10800000000 due -
4 3 2 0 lasts 2 0 0 - -
5 1 nobody 0 1000000 1 0 0 due -
5 2 1 1000000 3600000000 0 2 0 due -
6 3 2 3600000000 7200000000 3 1 0 due -
7 2 nobody 0 1800000000 1 1 0 due -
`

func staysOf(t *testing.T, db *store.DB) string {
	t.Helper()
	const ten = "1767348000000000"
	aggregate := "group_concat(line, '\n')"
	if db.Dialect() == "postgres" {
		aggregate = "string_agg(line, '\n')"
	}
	var lines string
	scan(t, db, `SELECT `+aggregate+` FROM (SELECT conversation_id || ' ' || group_id || ' ' || COALESCE(CAST(agent_id AS TEXT), 'nobody') || ' '
		|| (started_at - `+ten+`) || ' ' || CASE WHEN ended_at = 9223372036854775807 THEN 'lasts' ELSE CAST(ended_at - `+ten+` AS TEXT) END || ' '
		|| entered || ' ' || ending || ' ' || (begun_at - `+ten+`) || ' ' || CASE WHEN unanswered THEN 'due' ELSE '-' END || ' '
		|| COALESCE(CAST(answered_at - `+ten+` AS TEXT), '-') AS line FROM stays ORDER BY conversation_id, started_at) AS s`, &lines)
	return lines
}
