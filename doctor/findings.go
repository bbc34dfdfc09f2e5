package doctor

import (
	"context"
	"database/sql"
	"fmt"

	"canopy/relay"
	"canopy/store"
)

// finding is a statement that returns the things at which something is wrong: their number, what is and what should be,
// for the account $1, at most $2 of them.
type finding struct {
	kind   Kind
	of     relay.Kind
	query  string
	detail func(is, should sql.NullInt64) string
}

// servedBy says that a contact's current assignment is, or is not, that of the user in the column. With several current
// ones, which is a fault of its own, any of them will do.
func servedBy(contact, agent string) string {
	current := "FROM contact_assignments AS t WHERE t.contact_id = " + contact + " AND t.ended_at IS NULL"
	return "CASE WHEN " + agent + " IS NULL THEN NOT EXISTS (SELECT 1 " + current + ")" +
		" ELSE EXISTS (SELECT 1 " + current + " AND t.user_id = " + agent + ") END"
}

func assigned(contact string) string {
	return "(SELECT MIN(t.user_id) FROM contact_assignments AS t WHERE t.contact_id = " + contact + " AND t.ended_at IS NULL)"
}

// notWaiting says that a contact is served, or has closed conversations only (see package tree for the boxes).
const notWaiting = "(assigned_user_id IS NOT NULL OR box IN (4, 5))"

// forever is the end of a stay that lasts.
const forever = "9223372036854775807"

// stands is 1 for a stay that is in the contact's group and with its agent.
const stands = "CASE WHEN s.group_id = k.group_id AND COALESCE(s.agent_id, 0) = COALESCE(k.assigned_user_id, 0) THEN 1 ELSE 0 END"

// untimed finds the rows of a table for which no timer of the kind is set.
func untimed(table, kind, which string) string {
	return "SELECT s.id, NULL, NULL FROM " + table + " AS s WHERE s.account_id = $1 AND " + which + " AND NOT EXISTS " +
		"(SELECT 1 FROM timers AS t WHERE t.kind = " + kind + " AND t.subject_id = s.id AND t.account_id = s.account_id) ORDER BY s.id LIMIT $2"
}

var findings = []finding{
	{Roots, relay.KindAccount, `SELECT CAST($1 AS BIGINT), COUNT(*), NULL FROM groups
		WHERE account_id = $1 AND parent_id IS NULL HAVING COUNT(*) <> 1 LIMIT $2`, count("root groups")},
	{SameName, relay.KindGroup, `SELECT MIN(id), COUNT(*), NULL FROM groups
		WHERE account_id = $1 AND parent_id IS NOT NULL GROUP BY parent_id, name_key HAVING COUNT(*) > 1 ORDER BY 1 LIMIT $2`,
		count("siblings with its name, itself included")},
	{ManyAssignments, relay.KindContact, `SELECT contact_id, COUNT(*), NULL FROM contact_assignments
		WHERE account_id = $1 AND ended_at IS NULL GROUP BY contact_id HAVING COUNT(*) > 1 ORDER BY 1 LIMIT $2`,
		count("current assignments")},
	{Overlapping, relay.KindContact, `SELECT contact_id, MIN(id), NULL FROM (
			SELECT id, contact_id, started_at, ended_at, LAG(id) OVER periods AS previous, LAG(ended_at) OVER periods AS previous_end
			FROM contact_assignments WHERE account_id = $1 WINDOW periods AS (PARTITION BY contact_id ORDER BY started_at, id)) AS ordered
		WHERE previous_end > started_at OR previous IS NOT NULL AND previous_end IS NULL AND ended_at IS NOT NULL
		GROUP BY contact_id ORDER BY 1 LIMIT $2`, overlap},
	{WrongPeriod, relay.KindContactAssignment, `SELECT id, NULL, NULL FROM contact_assignments
		WHERE account_id = $1 AND ended_at < started_at ORDER BY id LIMIT $2`, backwards},
	{WrongPeriod, relay.KindConversation, `SELECT id, NULL, NULL FROM conversations
		WHERE account_id = $1 AND closed_at < opened_at ORDER BY id LIMIT $2`, backwards},
	{WrongAgent, relay.KindContact, `SELECT c.id, c.assigned_user_id, ` + assigned("c.id") + ` FROM contacts AS c
		WHERE c.account_id = $1 AND NOT ` + servedBy("c.id", "c.assigned_user_id") + ` ORDER BY c.id LIMIT $2`,
		agents("its current assignment")},
	{WrongWaiting, relay.KindContact, `SELECT id, assigned_user_id, NULL FROM contacts
		WHERE account_id = $1 AND (assigned_user_id IS NULL) <> (waiting_since IS NOT NULL) ORDER BY id LIMIT $2`, waiting},
	{ManyOpen, relay.KindContact, `SELECT contact_id, COUNT(*), NULL FROM conversations
		WHERE account_id = $1 AND closed_at IS NULL GROUP BY contact_id HAVING COUNT(*) > 1 ORDER BY 1 LIMIT $2`,
		count("open conversations")},
	{WrongServer, relay.KindConversation, `SELECT v.id, v.agent_id, ` + assigned("v.contact_id") + ` FROM conversations AS v
		WHERE v.account_id = $1 AND v.closed_at IS NULL AND NOT ` + servedBy("v.contact_id", "v.agent_id") + ` ORDER BY v.id LIMIT $2`,
		agents("the contact's current assignment")},
	{LeftBehind, relay.KindConversation, `SELECT v.id, v.agent_id, NULL FROM conversations AS v JOIN users AS u ON u.id = v.agent_id
		WHERE v.account_id = $1 AND v.closed_at IS NULL AND u.status IN ('DEACTIVATED', 'DELETED') ORDER BY v.id LIMIT $2`, leaver},
	{WrongSnooze, relay.KindConversation, `SELECT id, NULL, NULL FROM conversations
		WHERE account_id = $1 AND snoozed_until IS NOT NULL AND (closed_at IS NOT NULL OR agent_id IS NULL) ORDER BY id LIMIT $2`,
		says("is put aside and closed or waiting; should have no moment until when (snoozed_until)")},
	{WrongClosing, relay.KindConversation, `SELECT id, NULL, NULL FROM conversations
		WHERE account_id = $1 AND closed_at IS NULL AND (close_reason IS NOT NULL OR close_note <> '') ORDER BY id LIMIT $2`,
		says("is open and says why it was closed; should have neither close_reason nor close_note")},
	{WrongOffer, relay.KindContact, `SELECT id, assigned_user_id, NULL FROM contacts
		WHERE account_id = $1 AND ` + notWaiting + ` AND (offered_to_id IS NOT NULL OR offer_ends_at IS NOT NULL OR asked IS NOT NULL OR passed_on_from_id IS NOT NULL)
		ORDER BY id LIMIT $2`, says("is served or closed, and on offer, asked about or passed on (offered_to_id, offer_ends_at, asked, passed_on_from_id); only what waits should be")},
	{WrongOffer, relay.KindContact, `SELECT id, offered_to_id, NULL FROM contacts
		WHERE account_id = $1 AND (offered_to_id IS NULL) <> (offer_ends_at IS NULL) ORDER BY id LIMIT $2`,
		says("has one of offered_to_id and offer_ends_at, should have both or neither")},
	{WrongOffer, relay.KindContact, `SELECT c.id, c.offered_to_id, NULL FROM contacts AS c WHERE c.account_id = $1 AND c.offered_to_id IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM users AS u WHERE u.id = c.offered_to_id AND u.account_id = c.account_id) ORDER BY c.id LIMIT $2`, stranger},
	{WrongEscalation, relay.KindContact, `SELECT id, escalated_to_id, NULL FROM contacts
		WHERE account_id = $1 AND ` + notWaiting + ` AND escalated_to_id IS NOT NULL ORDER BY id LIMIT $2`,
		says("is served or closed, and escalated (escalated_to_id); only what waits should be")},
	{WrongEscalation, relay.KindContact, `SELECT c.id, c.escalated_to_id, g.parent_id FROM contacts AS c JOIN groups AS g ON g.id = c.group_id
		WHERE c.account_id = $1 AND c.escalated_to_id <> COALESCE(g.parent_id, 0) ORDER BY c.id LIMIT $2`, escalation},
	{ManyCovers, relay.KindUser, `SELECT user_id, COUNT(*), NULL FROM covers
		WHERE account_id = $1 AND ended_at IS NULL GROUP BY user_id HAVING COUNT(*) > 1 ORDER BY 1 LIMIT $2`, count("covers that have not ended")},
	{WrongCover, relay.KindCover, `SELECT id, NULL, NULL FROM covers WHERE account_id = $1 AND user_id = to_id ORDER BY id LIMIT $2`,
		says("is by the one who is covered, should be by somebody else")},
	{NoTimer, relay.KindContact, untimed("contacts", "'OFFER_ENDS'", "s.offered_to_id IS NOT NULL"), says("is on offer and no timer OFFER_ENDS passes it on; should have one")},
	{NoTimer, relay.KindConversation, untimed("conversations", "'SNOOZE_ENDS'", "s.snoozed_until IS NOT NULL AND s.closed_at IS NULL"),
		says("is put aside and no timer SNOOZE_ENDS wakes it; should have one")},
	{NoTimer, relay.KindCover, untimed("covers", "'COVER_ENDS'", "s.ended_at IS NULL"), says("has not ended and no timer COVER_ENDS ends it; should have one")},
	{WrongTimer, relay.KindAccount, `SELECT CAST($1 AS BIGINT), COUNT(*), NULL FROM timers WHERE account_id = $1 AND kind NOT IN
		('OFFER_ENDS', 'DISTRIBUTE', 'REVIEW', 'ESCALATE', 'CLOSE_SILENT', 'HOURS_BEGIN', 'SNOOZE_ENDS', 'COVER_ENDS', 'GRANT_BEGINS', 'NOTE_WORDS')
		HAVING COUNT(*) > 0 LIMIT $2`, unknown},
	{WrongStay, relay.KindConversation, `SELECT v.id, COUNT(s.id), SUM(` + stands + `) FROM conversations AS v JOIN contacts AS k ON k.id = v.contact_id
		LEFT JOIN stays AS s ON s.conversation_id = v.id AND s.ended_at = ` + forever + `
		WHERE v.account_id = $1 AND v.closed_at IS NULL GROUP BY v.id
		HAVING COUNT(s.id) <> 1 OR SUM(` + stands + `) <> 1 ORDER BY v.id LIMIT $2`, stay},
	{WrongStay, relay.KindConversation, `SELECT v.id, COUNT(*), NULL FROM stays AS s JOIN conversations AS v ON v.id = s.conversation_id
		WHERE s.account_id = $1 AND s.ended_at = ` + forever + ` AND v.closed_at IS NOT NULL GROUP BY v.id ORDER BY v.id LIMIT $2`,
		says("is closed and has a stay that lasts; should have none")},
	{WrongEvents, relay.KindAccount, `SELECT CAST($1 AS BIGINT), last, highest FROM (
			SELECT (SELECT last FROM event_counters WHERE account_id = $1) AS last, MAX(sequence) AS highest FROM events WHERE account_id = $1) AS numbers
		WHERE COALESCE(last, 0) < highest LIMIT $2`, events},
	{WrongEvents, relay.KindAccount, `SELECT CAST($1 AS BIGINT), COUNT(*), MAX(sequence) - MIN(sequence) + 1 FROM events
		WHERE account_id = $1 HAVING COUNT(*) <> MAX(sequence) - MIN(sequence) + 1 LIMIT $2`, holes},
	{WrongNumber, relay.KindAccount, `SELECT id, next_conversation_number, highest FROM (
			SELECT a.id, a.next_conversation_number, (SELECT MAX(v.number) FROM conversations AS v WHERE v.account_id = a.id) AS highest
			FROM accounts AS a WHERE a.id = $1) AS numbers
		WHERE next_conversation_number <= highest LIMIT $2`, number},
}

// find reports what the statement finds.
func (e *examination) find(ctx context.Context, accountID int64, f finding) error {
	err := store.EachRow(ctx, e.c, f.query, []any{accountID, MaxFaults}, func(rows *sql.Rows) error {
		fault := Fault{Kind: f.kind, Account: e.slugs[accountID], Of: f.of}
		var is, should sql.NullInt64
		err := rows.Scan(&fault.Number, &is, &should)
		fault.Detail = f.detail(is, should)
		e.report(fault)
		return err
	})
	if err != nil {
		return fmt.Errorf("looking for %q in account %d: %w", f.kind, accountID, err)
	}
	return nil
}

// count says how many there are of what there should be one.
func count(what string) func(is, should sql.NullInt64) string {
	return func(is, _ sql.NullInt64) string { return fmt.Sprintf("has %d %s, should have 1", is.Int64, what) }
}

func says(what string) func(is, should sql.NullInt64) string {
	return func(_, _ sql.NullInt64) string { return what }
}

func agents(by string) func(is, should sql.NullInt64) string {
	return func(is, should sql.NullInt64) string {
		return fmt.Sprintf("is served by %s; by %s it should be %s", who(is), by, who(should))
	}
}

func who(id sql.NullInt64) string {
	if !id.Valid {
		return "nobody"
	}
	return name(relay.KindUser, id.Int64)
}

func waiting(agent, _ sql.NullInt64) string {
	if agent.Valid {
		return "is served by " + who(agent) + " and has a moment since when it waits; should have none"
	}
	return "is served by nobody and has no moment since when it waits; should have one"
}

func number(next, highest sql.NullInt64) string {
	return fmt.Sprintf("its next conversation number is %d, should be above %d", next.Int64, highest.Int64)
}

func overlap(first, _ sql.NullInt64) string {
	return fmt.Sprintf("%s begins before the one before it has ended", name(relay.KindContactAssignment, first.Int64))
}

func backwards(_, _ sql.NullInt64) string { return "ends before it begins" }

func leaver(agent, _ sql.NullInt64) string {
	return "is open and served by " + who(agent) + ", who is deactivated or deleted; should have been handed over"
}

func stranger(user, _ sql.NullInt64) string {
	return fmt.Sprintf("is on offer to %d, who is no user of its account", user.Int64)
}

func escalation(to, parent sql.NullInt64) string {
	should := "nobody: its group is the root"
	if parent.Valid {
		should = name(relay.KindGroup, parent.Int64)
	}
	return fmt.Sprintf("is escalated to %s, should be to %s", name(relay.KindGroup, to.Int64), should)
}

func unknown(n, _ sql.NullInt64) string {
	return fmt.Sprintf("has %d timers of a kind that nobody knows, should have none", n.Int64)
}

func stay(lasting, agreeing sql.NullInt64) string {
	return fmt.Sprintf("is open and has %d stays that last, %d of them in its contact's group and with its agent; should have 1 and that there",
		lasting.Int64, agreeing.Int64)
}

func events(last, highest sql.NullInt64) string {
	return fmt.Sprintf("has counted %d events (event_counters), should be %d or more", last.Int64, highest.Int64)
}

func holes(kept, numbers sql.NullInt64) string {
	return fmt.Sprintf("keeps %d events, should be %d by the first and the last number", kept.Int64, numbers.Int64)
}
