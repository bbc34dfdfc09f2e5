package desk_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/message"
	"canopy/internal/fold"
	"canopy/internal/testdb"
	"canopy/store"
	"canopy/timers"
)

func (w *world) finds(who, text string) string {
	w.t.Helper()
	page, err := w.desk.Contacts(w.as(who), desk.ContactsQuery{Search: text, First: 100})
	ok(w.t, err)
	n, err := w.desk.ContactsCount(w.as(who), desk.ContactsQuery{Search: text})
	ok(w.t, err)
	if n != len(page.Entries) {
		w.t.Errorf("%s searches for %q, finds %d and counts %d", who, text, len(page.Entries), n)
	}
	return names(page)
}

// saysText is a message of the contact on the test channel.
func (w *world) saysText(name, text string) {
	w.t.Helper()
	_, err := w.desk.ReceiveMessage(w.as("olga"), desk.ReceiveMessage{Channel: "test", Address: name, Text: text, ExternalID: fmt.Sprint("text ", messages.Add(1))})
	ok(w.t, err)
}

func TestASearchFindsWhatWasSaid(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		kim, lee := w.served("kim", "ana"), w.served("lee", "carla")
		w.served("vic", "vic")
		w.saysText("kim", "Where is my REFUND? Order nº 77-815, São Paulo.")
		w.saysText("lee", "Straße 5; I want a refund")
		w.saysText("vic", "a refund, please")
		_, err := w.desk.SendMessage(w.as("ana"), desk.SendMessage{ConversationID: w.openOf(kim).ID, Text: "We'll look into it."})
		ok(t, err)
		for _, c := range []struct{ who, text, want string }{
			{"sue", "refund", "kim lee"}, {"sue", "Refu", "kim lee"}, {"sue", "fund", ""}, {"sue", "refunds", ""},
			{"sue", "my refund", "kim"}, {"sue", "refund my", "kim"}, {"sue", "refund kim", ""}, {"sue", "815", "kim"},
			{"sue", "are refund", ""}, {"sue", "são", "kim"}, {"sue", "SÃO paulo", "kim"}, {"sue", "sao", ""},
			{"sue", "strasse", "lee"}, {"sue", "look into", "kim"}, {"sue", "?", ""}, {"sue", "%", ""}, {"sue", "_efund", ""},
			{"ana", "refund", "kim"}, {"carla", "refund", "lee"}, {"bruno", "refund", ""}, {"olga", "refund", "kim vic lee"},
			{"adam", "refund", ""}, {"vic", "refund", "vic"},
		} {
			if got := w.finds(c.who, c.text); got != c.want {
				t.Errorf("%s finds %q by %q; want %q", c.who, got, c.text, c.want)
			}
		}
		// What was said goes where the contact goes, and with it.
		w.assigned(kim, "bruno")
		if got := w.finds("ana", "refund") + "/" + w.finds("bruno", "refund"); got != "/kim" {
			t.Errorf("after it was passed on ana and bruno find %q", got)
		}
		ok(t, w.desk.DeleteContact(w.as("olga"), desk.DeleteContact{ContactID: lee}))
		if got := w.finds("olga", "refund"); got != "kim vic" && got != "vic kim" {
			t.Errorf("after lee was deleted olga finds %q", got)
		}
	})
}

func TestASearchFindsConversationsByTheirNumber(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		kim, vic := w.served("kim", "ana"), w.served("vic", "vic")
		number := func(c int64) string { return fmt.Sprint(w.openOf(c).Number) }
		first := number(kim)
		w.closes(kim)
		for _, c := range []struct{ who, text, want string }{
			{"sue", first, "kim"}, {"ana", "#" + first, "kim"}, {"sue", "+" + first, ""}, {"sue", "#" + number(vic), ""}, {"olga", "#" + number(vic), "vic"},
			{"sue", "#999", ""}, {"sue", "#0", ""}, {"sue", "#99999999999999999999", ""}, {"bruno", "#" + first, ""}, {"sue", "##" + first, ""},
		} {
			if got := w.finds(c.who, c.text); got != c.want {
				t.Errorf("%s finds %q by %q; want %q", c.who, got, c.text, c.want)
			}
		}
		// Who sees contacts and no conversations learns nothing of them.
		w.role("Clerk", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeAccount})
		w.user("clara", "north", "Clerk")
		w.saysText("vic", "a refund")
		if got := w.finds("clara", "#"+first) + w.finds("clara", "refund"); got != "" || w.finds("clara", "kim") != "kim" {
			t.Errorf("clara finds %q", got)
		}
	})
}

// TestSearchesAreWhatAskingForEveryContactGives lets everybody of random accounts search, and compares with reading every
// contact, conversation and message.
func TestSearchesAreWhatAskingForEveryContactGives(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorldCalled(t, db, "acacia")
		r := rand.New(rand.NewPCG(3, 11))
		users := w.chaos(r)
		contacts, err := w.db.Read.Contact.Query().Where(contact.AccountID(w.account)).Order(contact.ByID()).All(all())
		ok(t, err)
		vocabulary := []string{"red", "refund", "green", "grey", "order", "77", "ordering"}
		for i, c := range contacts {
			w.put(c, int64(i+1), pick(r, vocabulary)+" "+pick(r, vocabulary))
		}
		for _, name := range users {
			v := w.viewer(name)
			for _, text := range []string{"re", "refund", "red order", "gre", "#12", "77", "order 7", "c1", "g"} {
				var want []string
				for _, c := range w.naive(v, "", nil) {
					if w.naiveMatch(v, c, text) {
						want = append(want, c.Name)
					}
				}
				if got := w.finds(name, text); got != strings.Join(want[:min(len(want), 100)], " ") {
					t.Errorf("%s searches for %q\nfinds %s\nwant  %v", name, text, got, want)
				}
			}
		}
	})
}

// put gives a contact a conversation in which something is said.
func (w *world) put(c *ent.Contact, number int64, text string) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		v, err := tx.Conversation.Create().SetAccountID(w.account).SetContactID(c.ID).SetNumber(number).SetOpenedAt(w.clock.Now()).Save(ctx)
		if err != nil {
			return err
		}
		err = tx.Message.Create().SetAccountID(w.account).SetConversationID(v.ID).SetDirection(message.DirectionINBOUND).SetText(text).SetSentAt(w.clock.Now()).Exec(ctx)
		for _, word := range strings.Fields(text) {
			if err == nil {
				_, err = tx.ExecContext(ctx, "INSERT INTO contact_words (contact_id, word) VALUES ($1, $2) ON CONFLICT DO NOTHING", c.ID, word)
			}
		}
		return err
	})
}

// naiveMatch reads what the contact is called and what was said with it, as far as the viewer may know.
func (w *world) naiveMatch(v *authz.Viewer, c *ent.Contact, text string) bool {
	w.t.Helper()
	if strings.Contains(c.NameKey, fold.Key(text)) {
		return true
	}
	g, agent := c.Edges.Group, int64(0)
	if c.AssignedUserID != nil {
		agent = *c.AssignedUserID
	}
	at := authz.AtContact(authz.Place{GroupID: g.ID, Path: g.Path, Wall: g.Wall}, agent)
	if !v.Can(authz.ConversationsView, at) && (agent != 0 || !v.Can(authz.QueueView, at)) {
		return false
	}
	list, err := w.db.Read.Conversation.Query().Where(conversation.ContactID(c.ID)).All(all())
	ok(w.t, err)
	said := ""
	for _, v := range list {
		if strings.TrimPrefix(text, "#") == fmt.Sprint(v.Number) {
			return true
		}
		lines, err := w.db.Read.Message.Query().Where(message.ConversationID(v.ID)).All(all())
		ok(w.t, err)
		for _, m := range lines {
			said += " " + m.Text
		}
	}
	for _, word := range strings.Fields(strings.TrimPrefix(text, "#")) {
		if !slices.ContainsFunc(strings.Fields(said), func(s string) bool { return strings.HasPrefix(s, word) }) {
			return false
		}
	}
	return true
}

func TestWhatWasSaidBeforeWordsWereNotedIsFoundOnceTheyAre(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		kim := w.openOf(w.served("kim", "ana"))
		w.served("lee", "ana")
		w.saysText("lee", "Where is my parcel?")
		const many = 1100 // more than are noted at once
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			said := make([]*ent.MessageCreate, many)
			for i := range said {
				said[i] = tx.Message.Create().SetAccountID(w.account).SetConversationID(kim.ID).SetDirection(message.DirectionINBOUND).
					SetText(fmt.Sprint("The kettle leaks ", i)).SetSentAt(w.clock.Now())
			}
			err := tx.Message.CreateBulk(said...).Exec(ctx)
			_, failed := tx.ExecContext(ctx, "DELETE FROM contact_words")
			return errors.Join(err, failed)
		})
		if got := w.finds("olga", "parcel"); got != "" {
			t.Fatalf("without words %q is found", got)
		}
		last, err := w.db.Read.Message.Query().Order(ent.Desc("id")).FirstID(all())
		ok(t, err)
		w.due(timers.NoteWords, last)
		w.after(0)
		for text, want := range map[string]string{"parcel": "lee", "leaks kettle": "kim", "1099": "kim", "100": "kim", "99": "kim"} {
			if got := w.finds("olga", text); got != want {
				t.Errorf("%q finds %q, not %q", text, got, want)
			}
		}
		words := 0
		ok(t, store.EachRow(t.Context(), w.db.Read, "SELECT COUNT(*) FROM contact_words", nil, func(rows *sql.Rows) error { return rows.Scan(&words) }))
		if want := many + len(strings.Fields("the kettle leaks hello where is my parcel hello")); words != want {
			t.Errorf("%d words are noted, not %d", words, want)
		}
	})
}
