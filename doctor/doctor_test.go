package doctor_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	"canopy/doctor"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/cover"
	"canopy/ent/generated/group"
	"canopy/ent/generated/tag"
	"canopy/ent/generated/user"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/mattn/go-sqlite3"
)

// clinic is a migrated database and a way around its constraints.
type clinic struct {
	t     *testing.T
	db    *store.DB
	knife *sql.Conn
}

// each runs the test in a clinic on every database.
func each(t *testing.T, test func(t *testing.T, c *clinic)) {
	t.Helper()
	testdb.EachURL(t, func(t *testing.T, url string) {
		ctx := context.Background()
		db, err := store.Open(ctx, store.Options{URL: url, Synchronous: "OFF"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		if err := db.Migrate(ctx); err != nil {
			t.Fatal(err)
		}
		pool, first := openKnife(t, db, url)
		t.Cleanup(func() { pool.Close() })
		knife, err := pool.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { knife.Close() })
		c := &clinic{t: t, db: db, knife: knife}
		c.cut(first)
		test(t, c)
	})
}

// openKnife returns a pool, and the statement after which a connection of it checks no foreign keys.
func openKnife(t *testing.T, db *store.DB, url string) (*sql.DB, string) {
	if db.Dialect() == "sqlite3" {
		return sql.OpenDB(liteConnector(url)), "PRAGMA foreign_keys = off"
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return stdlib.OpenDB(*config), "SET session_replication_role = replica"
}

func (c *clinic) cut(statement string) {
	c.t.Helper()
	if _, err := c.knife.ExecContext(context.Background(), statement); err != nil {
		c.t.Fatalf("%s: %v", statement, err)
	}
}

// damages are ways to spoil an account, each with all that the doctor finds then. In the statements words in braces
// stand for numbers.
var damages = []struct {
	name      string
	statement string
	finds     []doctor.Kind
	at        string // the thing that the first line names
}{
	{"a path", "UPDATE groups SET path = path || '-----0' WHERE id = {north}", []doctor.Kind{doctor.Kind(tree.WrongPlace)}, "group {north}"},
	{"a depth", "UPDATE groups SET depth = 3 WHERE id = {north}", []doctor.Kind{doctor.Kind(tree.WrongPlace)}, "group {north}"},
	{"a wall", "UPDATE groups SET wall = path WHERE id = {south}", []doctor.Kind{doctor.Kind(tree.WrongPlace)}, "group {south}"},
	{"a box", "UPDATE contacts SET box = 5 WHERE id = {kim}", []doctor.Kind{doctor.Kind(tree.WrongBox)}, "contact {kim}"},
	{"a list", "DELETE FROM scopes WHERE scope_id = {south}", []doctor.Kind{doctor.Kind(tree.ScopeMissing)}, "contact {lee}"},
	{"a list too many", "INSERT INTO scopes VALUES ({north}, 0, 7, {lee})", []doctor.Kind{doctor.Kind(tree.ScopeSurplus)}, "contact {lee}"},
	{"a counter", "UPDATE group_counters SET users = users + 1 WHERE group_id = {north}", []doctor.Kind{doctor.Kind(tree.WrongCount)}, "group {north}"},
	{"counters", "DELETE FROM group_counters WHERE group_id = {north}", []doctor.Kind{doctor.Kind(tree.WrongCount)}, "group {north}"},
	{"a circle", "UPDATE groups SET parent_id = {north} WHERE id = {south}; UPDATE groups SET parent_id = {south} WHERE id = {north}",
		[]doctor.Kind{doctor.Kind(tree.Unreachable)}, "group {north}"},
	{"no root", "UPDATE groups SET parent_id = {north}, depth = 1 WHERE id = {root}", []doctor.Kind{doctor.Roots, doctor.Kind(tree.Unreachable)}, "group {root}"},
	{"an agent", "UPDATE contacts SET assigned_user_id = {ana} WHERE id = {kim}", []doctor.Kind{doctor.WrongAgent, doctor.WrongStay}, "contact {kim}"},
	{"a conversation's agent", "UPDATE conversations SET agent_id = {ana} WHERE id = {conversation}", []doctor.Kind{doctor.WrongServer}, "conversation {conversation}"},
	{"nobody's conversation", "UPDATE conversations SET agent_id = NULL WHERE id = {conversation}", []doctor.Kind{doctor.WrongServer}, "conversation {conversation}"},
	{"an assignment that ended", "UPDATE contact_assignments SET ended_at = started_at WHERE contact_id = {kim}",
		[]doctor.Kind{doctor.WrongAgent, doctor.WrongServer}, "contact {kim}"},
	{"an assignment within another", `INSERT INTO contact_assignments (account_id, contact_id, user_id, method, explanation, started_at, ended_at)
		SELECT account_id, contact_id, {ana}, method, explanation, '2099-01-01 00:00:00+00:00', '2099-01-02 00:00:00+00:00'
		FROM contact_assignments WHERE contact_id = {kim}`, []doctor.Kind{doctor.Overlapping}, "contact {kim}"},
	{"two assignments at a time", `INSERT INTO contact_assignments (account_id, contact_id, user_id, method, explanation, started_at, ended_at)
		SELECT account_id, contact_id, {ana}, method, explanation, '2025-01-01 00:00:00+00:00', '2099-01-02 00:00:00+00:00'
		FROM contact_assignments WHERE contact_id = {kim}`, []doctor.Kind{doctor.Overlapping}, "contact {kim}"},
	{"an assignment that ends before it begins", `INSERT INTO contact_assignments (account_id, contact_id, user_id, method, explanation, started_at, ended_at)
		SELECT account_id, contact_id, {ana}, method, explanation, '2025-01-02 00:00:00+00:00', '2025-01-01 00:00:00+00:00'
		FROM contact_assignments WHERE contact_id = {kim}`, []doctor.Kind{doctor.WrongPeriod}, "assignment "},
	{"a conversation that ends before it begins", "UPDATE conversations SET closed_at = '2025-01-01 00:00:00+00:00' WHERE contact_id = {max}",
		[]doctor.Kind{doctor.WrongPeriod}, "conversation {past}"},
	{"an agent who left", "UPDATE users SET status = 'DEACTIVATED' WHERE id = {ben}", []doctor.Kind{doctor.LeftBehind}, "conversation {bens}"},
	{"a waiting contact", "UPDATE contacts SET waiting_since = NULL WHERE id = {lee}", []doctor.Kind{doctor.WrongWaiting}, "contact {lee}"},
	{"a closed conversation put aside", "UPDATE conversations SET snoozed_until = '2099-01-01 00:00:00+00:00' WHERE id = {past}",
		[]doctor.Kind{doctor.WrongSnooze}, "conversation {past}"},
	{"an open conversation that says why it was closed", "UPDATE conversations SET close_reason = 'SPAM' WHERE id = {conversation}",
		[]doctor.Kind{doctor.WrongClosing}, "conversation {conversation}"},
	{"a key of a tag", "UPDATE tags SET name_key = 'VIP' WHERE id = {tag}", []doctor.Kind{doctor.WrongKey}, "tag {tag}"},
	{"a note of nobody", "INSERT INTO notes (account_id, conversation_id, author_id, text, written_at) VALUES ({account}, {past}, 999999, 'x', '2026-01-01 00:00:00+00:00')",
		[]doctor.Kind{doctor.Dangling}, "note "},
	{"an offer of what is served", "UPDATE contacts SET offered_to_id = {ana}, offer_ends_at = '2099-01-01 00:00:00+00:00' WHERE id = {kim}; " + timer("OFFER_ENDS", "{kim}"),
		[]doctor.Kind{doctor.WrongOffer}, "contact {kim}"},
	{"an agent asked about what is served", "UPDATE contacts SET asked = '[{ana}]' WHERE id = {max}", []doctor.Kind{doctor.WrongOffer}, "contact {max}"},
	{"an offer and an escalation of what is closed", "UPDATE contacts SET asked = '[{ana}]', escalated_to_id = {root} WHERE id = {sam}",
		[]doctor.Kind{doctor.WrongOffer, doctor.WrongEscalation}, "contact {sam}"},
	{"an offer without an end", "UPDATE contacts SET offer_ends_at = NULL WHERE id = {noa}", []doctor.Kind{doctor.WrongOffer}, "contact {noa}"},
	{"an offer to nobody", "UPDATE contacts SET offered_to_id = NULL WHERE id = {noa}", []doctor.Kind{doctor.WrongOffer}, "contact {noa}"},
	{"an offer to a stranger", "UPDATE contacts SET offered_to_id = (SELECT MIN(id) FROM users WHERE account_id <> {account}) WHERE id = {noa}",
		[]doctor.Kind{doctor.WrongOffer}, "contact {noa}"},
	{"an offer that does not end", "DELETE FROM timers WHERE kind = 'OFFER_ENDS' AND subject_id = {noa}", []doctor.Kind{doctor.NoTimer}, "contact {noa}"},
	{"an escalation of what is served", "UPDATE contacts SET escalated_to_id = {root} WHERE id = {max}", []doctor.Kind{doctor.WrongEscalation}, "contact {max}"},
	{"an escalation beside", "UPDATE contacts SET escalated_to_id = {north} WHERE id = {noa}", []doctor.Kind{doctor.WrongEscalation}, "contact {noa}"},
	{"an escalation above the root", "UPDATE contacts SET escalated_to_id = {root} WHERE id = {rue}", []doctor.Kind{doctor.WrongEscalation}, "contact {rue}"},
	{"a cover of oneself", "UPDATE covers SET to_id = user_id WHERE id = {cover}", []doctor.Kind{doctor.WrongCover}, "cover {cover}"},
	{"a cover that does not end", "DELETE FROM timers WHERE kind = 'COVER_ENDS' AND subject_id = {cover}", []doctor.Kind{doctor.NoTimer}, "cover {cover}"},
	{"a conversation that nobody wakes", "DELETE FROM timers WHERE kind = 'SNOOZE_ENDS' AND subject_id = {bens}", []doctor.Kind{doctor.NoTimer}, "conversation {bens}"},
	{"a timer of a kind to come", timer("MAKE_TEA", "{kim}"), []doctor.Kind{doctor.WrongTimer}, "account {account}"},
	{"no stay", "DELETE FROM stays WHERE conversation_id = {conversation}", []doctor.Kind{doctor.WrongStay}, "conversation {conversation}"},
	{"a stay that has ended", "UPDATE stays SET ended_at = started_at WHERE conversation_id = {conversation}", []doctor.Kind{doctor.WrongStay}, "conversation {conversation}"},
	{"a stay elsewhere", "UPDATE stays SET group_id = {south} WHERE conversation_id = {conversation}", []doctor.Kind{doctor.WrongStay}, "conversation {conversation}"},
	{"a stay with somebody else", "UPDATE stays SET agent_id = {ana} WHERE conversation_id = {conversation}", []doctor.Kind{doctor.WrongStay}, "conversation {conversation}"},
	{"a stay of what is closed", "UPDATE stays SET ended_at = 9223372036854775807 WHERE conversation_id = {past}", []doctor.Kind{doctor.WrongStay}, "conversation {past}"},
	{"a stay in no group", "UPDATE stays SET group_id = {foreign} WHERE conversation_id = {past}", []doctor.Kind{doctor.Dangling}, "rows of stays: group_id"},
	{"events that will come twice", "UPDATE event_counters SET last = last - 1 WHERE account_id = {account}", []doctor.Kind{doctor.WrongEvents}, "account {account}"},
	{"events without a counter", "DELETE FROM event_counters WHERE account_id = {account}", []doctor.Kind{doctor.WrongEvents}, "account {account}"},
	{"events that are missing", "DELETE FROM events WHERE account_id = {account} AND sequence = 2", []doctor.Kind{doctor.WrongEvents}, "account {account}"},
	{"a number", "UPDATE accounts SET next_conversation_number = 1 WHERE id = {account}", []doctor.Kind{doctor.WrongNumber}, "account {account}"},
	{"the last owner", "UPDATE role_grants SET revoked_at = valid_from WHERE user_id = {olga}", []doctor.Kind{doctor.NoOwner}, "account {account}"},
	{"an owner who will end", "UPDATE role_grants SET valid_until = '2999-01-01 00:00:00+00:00' WHERE user_id = {olga}", []doctor.Kind{doctor.NoOwner}, "account {account}"},
	{"an owner to come", "UPDATE role_grants SET valid_from = '2999-01-01 00:00:00+00:00' WHERE user_id = {olga}", []doctor.Kind{doctor.NoOwner}, "account {account}"},
	{"an owner who left", "UPDATE users SET status = 'DEACTIVATED' WHERE id = {olga}",
		[]doctor.Kind{doctor.NoOwner, doctor.LeftBehind}, "conversation {conversation}"},
	{"a primary owner who is none", "UPDATE accounts SET primary_owner_id = {ana} WHERE id = {account}", []doctor.Kind{doctor.WrongPrimary}, "account {account}"},
	{"no primary owner", "UPDATE accounts SET primary_owner_id = NULL WHERE id = {account}", []doctor.Kind{doctor.WrongPrimary}, "account {account}"},
	{"a key of a group", "UPDATE groups SET name_key = 'NORTH' WHERE id = {north}", []doctor.Kind{doctor.WrongKey}, "group {north}"},
	{"a key of a user", "UPDATE users SET name_key = '' WHERE id = {ana}", []doctor.Kind{doctor.WrongKey}, "user {ana}"},
	{"a key of an address", "UPDATE users SET email_key = 'other' WHERE id = {ana}", []doctor.Kind{doctor.WrongKey}, "user {ana}"},
	{"a key of a contact", "UPDATE contacts SET name_key = 'other' WHERE id = {kim}", []doctor.Kind{doctor.WrongKey}, "contact {kim}"},
	{"a role that is gone", "DELETE FROM roles WHERE id = {DEVELOPER}", []doctor.Kind{doctor.WrongRole}, "account {account}"},
	{"a role that is none", "UPDATE roles SET key = 'EMPEROR' WHERE id = {DEVELOPER}", []doctor.Kind{doctor.WrongRole}, "role {DEVELOPER}"},
	{"pairs that are none", `INSERT INTO roles (account_id, name, name_key, pairs, created_at)
		VALUES ({account}, 'x', 'x', '[{"permission": "FLY", "scope": "ACCOUNT"}]', '2026-01-01 00:00:00+00:00')`, []doctor.Kind{doctor.WrongRole}, "role "},
	{"an arrival group", "UPDATE contacts SET arrival_group_id = 999999 WHERE id = {kim}", []doctor.Kind{doctor.Dangling}, "contact {kim}"},
	{"an arrival group elsewhere", "UPDATE contacts SET arrival_group_id = {foreign} WHERE id = {kim}", []doctor.Kind{doctor.Dangling}, "contact {kim}"},
	{"a group of a grant", "UPDATE role_grants SET group_id = {foreign} WHERE user_id = {ana}", []doctor.Kind{doctor.Dangling}, "grant "},
	{"a role of a grant", "UPDATE role_grants SET role_id = 999999 WHERE user_id = {ana}", []doctor.Kind{doctor.Dangling}, "grant "},
	{"a role to give", "INSERT INTO role_may_give VALUES ({DEVELOPER}, 999999)", []doctor.Kind{doctor.Dangling}, "a row of role_may_give"},
	{"a home", "UPDATE users SET home_group_id = {foreign} WHERE id = {ana}", []doctor.Kind{doctor.Dangling, doctor.Kind(tree.WrongCount)}, "user {ana}"},
}

// timer is a statement that sets a timer.
func timer(kind, subject string) string {
	return fmt.Sprintf("INSERT INTO timers (kind, subject_id, account_id, due_at) VALUES ('%s', %s, {account}, 4000000000000000)", kind, subject)
}

// TestEachFaultIsNamedAndNothingElse damages one account in one way at a time. What can be rebuilt is, and of the rest
// the doctor goes on to say that it needs a person.
func TestEachFaultIsNamedAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, c *clinic) {
		bystander := newCompany(t, c.db, "bystander")
		bystander.contact(bystander.root, "Max")
		for i, d := range damages {
			t.Run(d.name, func(t *testing.T) {
				p := newPatient(t, c.db, fmt.Sprint("patient-", i), bystander.root)
				if faults := examine(t, c.db, p.slug); len(faults) > 0 {
					t.Fatalf("before the damage it finds %v", faults)
				}
				for _, statement := range strings.Split(p.fill(d.statement), ";") {
					c.cut(statement)
				}
				faults := examine(t, c.db, p.slug)
				slices.Sort(d.finds)
				if !slices.Equal(kinds(faults), d.finds) {
					t.Fatalf("it finds %v, want %v", faults, d.finds)
				}
				if !strings.Contains(faults[0].String(), p.named(d.at)) {
					t.Errorf("%s\ndoes not name %s", faults[0], p.named(d.at))
				}
				c.rebuild(p.account)
				left := kinds(examine(t, c.db, p.slug))
				want := slices.DeleteFunc(slices.Clone(d.finds), doctor.Kind.Rebuildable)
				if !slices.Equal(left, want) {
					t.Errorf("the rebuilding leaves %v, want %v", left, want)
				}
				for _, kind := range left {
					if !strings.Contains(kind.Advice(), "needs a person") {
						t.Errorf("what is left of %s: %s", kind, kind.Advice())
					}
				}
			})
		}
		if faults := examine(t, c.db, bystander.slug); len(faults) > 0 {
			t.Errorf("in the account beside it finds %v", faults)
		}
	})
}

// TestWithoutTheirIndexes lets in what unique indexes keep out. That they are gone is found as well.
func TestWithoutTheirIndexes(t *testing.T) {
	each(t, func(t *testing.T, c *clinic) {
		p := newPatient(t, c.db, "patient", 0)
		for _, index := range []string{"assignment_one_current", "conversation_one_open", "group_sibling_name", "group_one_root", "cover_one_current", "stay_current"} {
			c.cut("DROP INDEX " + index)
		}
		faults := examine(t, c.db, "")
		if !slices.Equal(kinds(faults), []doctor.Kind{doctor.WrongSchema}) || len(faults) < 5 {
			t.Errorf("it finds %v", faults)
		}
		for _, damage := range []struct {
			statement, undo, at string
			finds               []doctor.Kind
		}{
			{`INSERT INTO contact_assignments (account_id, contact_id, user_id, method, explanation, started_at)
				SELECT account_id, contact_id, {ana}, method, explanation, started_at FROM contact_assignments WHERE contact_id = {kim}`,
				"DELETE FROM contact_assignments WHERE user_id = {ana}", "contact {kim}", []doctor.Kind{doctor.ManyAssignments}},
			{`INSERT INTO conversations (account_id, contact_id, number, subject, agent_id, opened_at)
				SELECT account_id, contact_id, 0, subject, agent_id, opened_at FROM conversations WHERE contact_id = {kim}`,
				"DELETE FROM conversations WHERE number = 0", "contact {kim}", []doctor.Kind{doctor.ManyOpen, doctor.WrongStay}},
			{`INSERT INTO covers (account_id, user_id, to_id, started_by_id, started_at, ends_at)
				SELECT account_id, user_id, to_id, started_by_id, started_at, ends_at FROM covers WHERE id = {cover};
			  INSERT INTO timers (kind, subject_id, account_id, due_at) SELECT 'COVER_ENDS', MAX(id), {account}, 1 FROM covers`,
				"DELETE FROM covers WHERE id <> {cover}", "user {ana}", []doctor.Kind{doctor.ManyCovers}},
			{`INSERT INTO stays (account_id, contact_id, conversation_id, group_id, agent_id, started_at, entered, begun_at, unanswered)
				SELECT account_id, contact_id, conversation_id, group_id, agent_id, started_at + 1, entered, begun_at, unanswered FROM stays
				WHERE conversation_id = {conversation}`,
				"DELETE FROM stays WHERE id = (SELECT MAX(id) FROM stays)", "conversation {conversation}", []doctor.Kind{doctor.WrongStay}},
			{"UPDATE groups SET name = 'North', name_key = 'north' WHERE id = {south}",
				"UPDATE groups SET name = 'South', name_key = 'south' WHERE id = {south}", "group {north}", []doctor.Kind{doctor.SameName}},
			{`INSERT INTO groups (account_id, name, name_key, path, depth, created_at)
				SELECT account_id, 'Second', 'second', '?', 0, created_at FROM groups WHERE id = {root}`,
				"DELETE FROM groups WHERE name = 'Second'", "account {account}",
				[]doctor.Kind{doctor.Roots, doctor.Kind(tree.WrongPlace)}},
		} {
			for _, statement := range strings.Split(p.fill(damage.statement), ";") {
				c.cut(statement)
			}
			faults := examine(t, c.db, p.slug)
			if !slices.Equal(kinds(faults), damage.finds) ||
				!slices.ContainsFunc(faults, func(f doctor.Fault) bool { return strings.Contains(f.String(), p.named(damage.at)) }) {
				t.Errorf("%s\nfinds %v, want %v", damage.statement, faults, damage.finds)
			}
			c.cut(p.fill(damage.undo))
		}
		if faults := examine(t, c.db, p.slug); len(faults) > 0 {
			t.Errorf("after all is undone it finds %v", faults)
		}
	})
}

// TestWhatBelongsToNobody is found in the whole database only.
func TestWhatBelongsToNobody(t *testing.T) {
	each(t, func(t *testing.T, c *clinic) {
		p := newPatient(t, c.db, "patient", 0)
		if faults := examine(t, c.db, ""); len(faults) > 0 {
			t.Fatalf("before the damage it finds %v", faults)
		}
		c.cut("INSERT INTO scopes VALUES (999999, 0, 7, 999999)")
		c.cut("INSERT INTO sessions (account_id, user_id, token_hash, kind, created_at, expires_at) " +
			"VALUES (999999, 1, 'x', 'TOKEN', '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00')")
		if faults := examine(t, c.db, p.slug); len(faults) > 0 {
			t.Errorf("in the account it finds %v", faults)
		}
		c.cut("INSERT INTO timers (kind, subject_id, account_id, due_at) VALUES ('DISTRIBUTE', 999999, 999999, 1)")
		c.cut("INSERT INTO contact_words (contact_id, word) VALUES (999999, 'hello')")
		want := []doctor.Kind{doctor.Dangling, doctor.Kind(tree.ScopeStray)}
		if faults := examine(t, c.db, ""); !slices.Equal(kinds(faults), want) || len(faults) != 5 {
			t.Errorf("it finds %v", faults)
		}
	})
}

// TestAnAccountWhoseOwnerHasNoPasswordYetIsSound: the first owner is invited and cannot be active yet.
func TestAnAccountWhoseOwnerHasNoPasswordYetIsSound(t *testing.T) {
	each(t, func(t *testing.T, c *clinic) {
		p := newCompany(t, c.db, "patient")
		c.cut(fmt.Sprintf("UPDATE users SET status = 'INVITED', password_hash = NULL WHERE id = %d", p.owner))
		if faults := examine(t, c.db, p.slug); len(faults) > 0 {
			t.Errorf("it finds %v", faults)
		}
	})
}

func TestOfManyFaultsOfAKindSomeAreReported(t *testing.T) {
	each(t, func(t *testing.T, c *clinic) {
		p := newCompany(t, c.db, "patient")
		c.cut(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO roles (account_id, "key", name, name_key, created_at)
			SELECT %d, 'KEY ' || i, 'name ' || i, 'wrong ' || i, '2026-01-01 00:00:00+00:00' FROM n`, doctor.MaxFaults+5, p.account))
		wrongKeys := 0
		for _, f := range examine(t, c.db, p.slug) {
			if f.Kind == doctor.WrongKey {
				wrongKeys++
			}
		}
		if wrongKeys != doctor.MaxFaults {
			t.Errorf("it reports %d", wrongKeys)
		}
	})
}

func TestNoSuchAccount(t *testing.T) {
	each(t, func(t *testing.T, c *clinic) {
		_, err := doctor.Patient{DB: c.db}.Examine(context.Background(), "nobody", nil)
		if err == nil || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("got %v", err)
		}
	})
}

// rebuild does what canopy rebuild does with an account.
func (c *clinic) rebuild(account int64) {
	c.t.Helper()
	_ = c.db.Write(authz.Trusted(context.Background()), func(ctx context.Context, tx *ent.Tx) error {
		_, err := tree.Rebuild(ctx, tx, account)
		return err
	})
}

// patient is a company and the numbers of what is in it.
type patient struct {
	*company
	numbers map[string]int64
}

func newPatient(t *testing.T, db *store.DB, slug string, foreign int64) *patient {
	t.Helper()
	c := newCompany(t, db, slug)
	n := map[string]int64{"account": c.account, "root": c.root, "olga": c.owner, "foreign": foreign, "DEVELOPER": c.roles["DEVELOPER"]}
	n["north"], n["south"] = c.group(c.root, "North"), c.group(c.root, "South")
	n["ana"] = c.user(n["north"], "Ana", authz.RoleAgent)
	n["kim"], n["lee"] = c.contact(c.root, "Kim").ID, c.contact(n["south"], "Lee").ID
	v, err := c.desk.OpenConversation(c.as(c.owner), desk.OpenConversation{ContactID: n["kim"]})
	c.must(err)
	n["conversation"] = v.ID
	n["ben"] = c.user(n["north"], "Ben", authz.RoleAgent)
	n["max"], n["mia"] = c.contact(n["north"], "Max").ID, c.contact(n["north"], "Mia").ID
	for word, who := range map[string]int64{"past": n["max"], "bens": n["mia"]} {
		v, err := c.desk.OpenConversation(c.as(n["ben"]), desk.OpenConversation{ContactID: who})
		c.must(err)
		n[word] = v.ID
	}
	_, err = c.desk.CloseConversation(c.as(n["ben"]), desk.CloseConversation{ConversationID: n["past"]})
	c.must(err)
	vip, err := c.desk.CreateTag(c.as(c.owner), desk.CreateTag{Name: "VIP", Colour: tag.ColourRED})
	c.must(err)
	n["tag"] = vip.ID
	c.waiting(n)
	return &patient{c, n}
}

// waiting adds what ends by itself: Noa is on offer to Cora and shows in the queue above, too; Ana is covered by Cora; Ben
// has put Mia's conversation aside. Sam's was closed without an agent.
func (c *company) waiting(n map[string]int64) {
	n["east"] = c.group(c.root, "East")
	n["cora"] = c.user(n["east"], "Cora", authz.RoleAgent)
	_, err := c.dir.UpdateGroupSettings(c.as(c.owner), directory.UpdateGroupSettings{GroupID: n["east"], AssignmentMode: optional.To(group.AssignmentModeRADAR)})
	c.must(err)
	present := user.AvailabilityAVAILABLE
	_, err = c.dir.UpdateAgentSettings(c.as(c.owner), directory.UpdateAgentSettings{AgentID: n["cora"], Availability: &present})
	c.must(err)
	noa := c.contact(n["east"], "Noa")
	if noa.OfferedToID == nil {
		c.t.Fatal("Noa is not on offer")
	}
	n["noa"], n["rue"] = noa.ID, c.contact(c.root, "Rue").ID
	c.must(c.db.Write(trusted(), func(ctx context.Context, tx *ent.Tx) error {
		return tx.Contact.UpdateOneID(noa.ID).SetEscalatedToID(c.root).Exec(ctx)
	}))
	south := n["south"]
	_, err = c.desk.ReceiveMessage(c.as(c.owner), desk.ReceiveMessage{Channel: "test", Address: "sam", Text: "Hello", ExternalID: "1", GroupID: &south})
	c.must(err)
	open, err := c.db.Read.Conversation.Query().Where(conversation.AccountID(c.account), conversation.AgentIDIsNil()).Only(trusted())
	c.must(err)
	_, err = c.desk.CloseConversation(c.as(c.owner), desk.CloseConversation{ConversationID: open.ID})
	c.must(err)
	n["sam"] = open.ContactID
	until := time.Now().Add(time.Hour)
	_, err = c.desk.StartCover(c.as(c.owner), desk.StartCover{AgentID: n["ana"], ToAgentID: n["cora"], Until: until})
	c.must(err)
	n["cover"], err = c.db.Read.Cover.Query().Where(cover.UserID(n["ana"])).OnlyID(trusted())
	c.must(err)
	_, err = c.desk.SnoozeConversation(c.as(n["ben"]), desk.SnoozeConversation{ConversationID: n["bens"], Until: &until})
	c.must(err)
}

// fill puts numbers in the place of words in braces.
func (p *patient) fill(text string) string {
	for word, number := range p.numbers {
		text = strings.ReplaceAll(text, "{"+word+"}", fmt.Sprint(number))
	}
	return text
}

// named is how a line names "group {north}".
func (p *patient) named(what string) string {
	word, rest, found := strings.Cut(what, " {")
	if !found {
		return what
	}
	kind := map[string]relay.Kind{"group": relay.KindGroup, "contact": relay.KindContact, "user": relay.KindUser, "role": relay.KindRole,
		"conversation": relay.KindConversation, "tag": relay.KindTag, "cover": relay.KindCover, "account": relay.KindAccount}[word]
	number := p.numbers[strings.TrimSuffix(rest, "}")]
	return fmt.Sprintf("%s %s (%d): ", word, relay.NewID(kind, number), number)
}

type liteConnector string

func (c liteConnector) Connect(context.Context) (driver.Conn, error) {
	return c.Driver().Open(string(c))
}
func (liteConnector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }
