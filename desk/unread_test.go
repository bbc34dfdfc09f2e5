package desk_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/message"
	"canopy/ent/generated/readmark"
	"canopy/refusal"
	"canopy/tree"
)

// unread is what is new to somebody in the open conversation of a contact.
func (w *world) unread(who string, c int64) string {
	w.t.Helper()
	id := w.openOf(c).ID
	found, err := w.desk.Unread(w.as(who), []int64{id})
	ok(w.t, err)
	return fmt.Sprint(found[id].Conversation, " ", found[id].Messages)
}

func (w *world) reads(who string, c int64) {
	w.t.Helper()
	_, err := w.desk.MarkRead(w.as(who), desk.MarkRead{ConversationID: w.openOf(c).ID})
	ok(w.t, err)
}

func (w *world) replies(who string, c int64) {
	w.t.Helper()
	_, err := w.answers(who, w.openOf(c).ID)
	ok(w.t, err)
}

func (w *world) isUnread(who string, c int64, want string) {
	w.t.Helper()
	if got := w.unread(who, c); got != want {
		w.t.Errorf("to %s there is %s unread; want %s", who, got, want)
	}
}

func (w *world) marks() int {
	w.t.Helper()
	n, err := w.db.Read.ReadMark.Query().Count(all())
	ok(w.t, err)
	return n
}

func TestWhatOthersSayAfterTheMarkIsUnread(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		w.says("kim", nil)
		w.isUnread("ana", c, "true 2")
		w.reads("ana", c)
		w.isUnread("ana", c, "false 0")
		w.isUnread("sue", c, "true 2") // everybody has a mark of their own
		w.replies("ana", c)
		w.isUnread("ana", c, "false 0")
		w.isUnread("sue", c, "true 3")
		w.says("kim", nil)
		w.isUnread("ana", c, "true 1")
		w.reads("ana", c)
		_, err := w.desk.MarkUnread(w.as("ana"), desk.MarkUnread{ConversationID: w.openOf(c).ID})
		ok(t, err)
		w.isUnread("ana", c, "true 1")
		if w.recorded("CONVERSATION_READ") != 0 || w.marks() != 1 {
			t.Errorf("there are %d marks", w.marks())
		}
	})
}

func TestAConversationThatSomebodyElseBeganIsUnreadUntilItIsMarked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		passed := w.served("passed", "ana")
		_, err := w.desk.TransferContact(w.as("ana"), desk.TransferContact{ContactID: passed, AgentID: w.id("bruno")})
		ok(t, err)
		w.isUnread("bruno", passed, "true 0")
		w.reads("bruno", passed)
		w.isUnread("bruno", passed, "false 0")
		_, err = w.desk.MarkUnread(w.as("bruno"), desk.MarkUnread{ConversationID: w.openOf(passed).ID})
		ok(t, err)
		w.isUnread("bruno", passed, "true 0")

		own := w.arrives("own", "north")
		_, err = w.desk.OpenConversation(w.as("ana"), desk.OpenConversation{ContactID: own})
		ok(t, err)
		w.isUnread("ana", own, "false 0")
		w.isUnread("sue", own, "true 0")
	})
}

func TestAClosedConversationHasNothingUnreadAndNoMarks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		closed, passed := w.served("closed", "ana"), w.served("passed", "ana")
		for _, c := range []int64{closed, passed} {
			w.reads("ana", c)
			w.reads("sue", c)
		}
		first := w.openOf(closed)
		w.closes(closed)
		w.assigned(passed, "bruno")
		if w.marks() != 0 {
			t.Errorf("%d marks are left", w.marks())
		}
		for _, mark := range []func() (*ent.Conversation, error){
			func() (*ent.Conversation, error) {
				return w.desk.MarkRead(w.as("ana"), desk.MarkRead{ConversationID: first.ID})
			},
			func() (*ent.Conversation, error) {
				return w.desk.MarkUnread(w.as("ana"), desk.MarkUnread{ConversationID: first.ID})
			},
		} {
			c, err := mark()
			ok(t, err)
			if c.ID != first.ID || w.marks() != 0 {
				t.Errorf("marking a closed conversation answers %v and leaves %d marks", c, w.marks())
			}
		}
		found, err := w.desk.Unread(w.as("ana"), []int64{first.ID})
		ok(t, err)
		if found[first.ID] != (desk.Unread{}) {
			t.Errorf("unread of a closed conversation: %v", found)
		}
	})
}

func TestMarkingNeedsSightAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		theirs, queued, hidden := w.openOf(w.served("theirs", "dora")).ID, w.openOf(w.writes("queued", "root")).ID, w.openOf(w.served("hidden", "vera")).ID
		for _, c := range []struct {
			who  string
			id   int64
			sees bool
		}{
			{"emil", theirs, true}, {"emil", queued, true}, {"emil", hidden, false}, {"ana", queued, true}, {"ana", theirs, false},
			{"olga", hidden, true}, {"adam", queued, false}, {"sue", 1 << 40, false}, {"sue", 0, false},
		} {
			for _, err := range []error{
				func() error { _, err := w.desk.MarkRead(w.as(c.who), desk.MarkRead{ConversationID: c.id}); return err }(),
				func() error {
					_, err := w.desk.MarkUnread(w.as(c.who), desk.MarkUnread{ConversationID: c.id})
					return err
				}(),
			} {
				if c.sees {
					ok(t, err)
				} else {
					refused(t, err, refusal.NotFoundCode, "")
				}
			}
		}
	})
}

func TestTheSameMarkTwiceIsOneMark(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		ana, id := w.as("ana"), w.openOf(c).ID
		for _, err := range together(8, func(int) error {
			_, err := w.desk.MarkRead(ana, desk.MarkRead{ConversationID: id})
			return err
		}) {
			ok(t, err)
		}
		w.isUnread("ana", c, "false 0")
		if w.marks() != 1 {
			t.Errorf("there are %d marks", w.marks())
		}
	})
}

// TestTheCountsOfUnreadAreWhatAskingForEachGives lets everybody read, answer and write at random, and counts by hand.
func TestTheCountsOfUnreadAreWhatAskingForEachGives(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var contacts []int64
		for i := range 9 {
			contacts = append(contacts, w.served(fmt.Sprint("kim ", i), []string{"ana", "bruno", "olga"}[i%3]))
		}
		agents := []string{"ana", "bruno", "olga"}
		for i, c := range contacts {
			switch agent := agents[i%3]; i / 3 {
			case 0:
				w.reads(agent, c)
			case 1:
				w.reads(agent, c)
				w.says(fmt.Sprint("kim ", i), nil)
			}
			if i%2 == 0 {
				w.replies(agents[i%3], c)
			}
		}
		for _, who := range agents {
			want := 0
			v := w.viewer(who)
			for _, c := range w.naive(v, desk.BoxYou, nil) {
				if w.naiveUnread(v.UserID, c.ID) {
					want++
				}
			}
			n, err := w.desk.InboxCounts(w.as(who), nil)
			ok(t, err)
			if n.Unread != (desk.Count{Contacts: want}) || want == 0 || want == n.You.Contacts {
				t.Errorf("%s counts %+v; want %d unread", who, n, want)
			}
		}
	})
}

// naiveUnread looks at every message.
func (w *world) naiveUnread(user, contactID int64) bool {
	w.t.Helper()
	c, err := w.db.Read.Conversation.Query().Where(conversation.ContactID(contactID), conversation.ClosedAtIsNil()).Only(all())
	ok(w.t, err)
	said, err := w.db.Read.Message.Query().Where(message.ConversationID(c.ID)).Order(message.BySentAt(), message.ByID()).All(all())
	ok(w.t, err)
	mark, err := w.db.Read.ReadMark.Query().Where(readmark.ConversationID(c.ID), readmark.UserID(user)).Only(all())
	if ent.IsNotFound(err) {
		return c.OpenedByID == nil || *c.OpenedByID != user
	}
	ok(w.t, err)
	last := slices.IndexFunc(said, func(m *ent.Message) bool { return m.ID == mark.MessageID })
	return slices.ContainsFunc(said[last+1:], func(m *ent.Message) bool { return m.AuthorID == nil || *m.AuthorID != user })
}

func TestCountsAreExactWhereCountersKnow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if testing.Short() {
			t.Skip()
		}
		w.fill(1010)
		more, exact := desk.Count{Contacts: 1000, More: true}, desk.Count{Contacts: 1010}
		for _, c := range []struct {
			who, under string
			want       desk.Count
		}{{"olga", "", exact}, {"olga", "sales", exact}, {"olga", "south", desk.Count{}}, {"sue", "", exact}, {"sue", "north", exact}, {"ana", "", more}} {
			var under *int64
			if c.under != "" {
				under = w.at(c.under)
			}
			n, err := w.desk.InboxCounts(w.as(c.who), under)
			ok(t, err)
			if n.Queue != c.want {
				t.Errorf("%s under %q counts %+v; want %+v", c.who, c.under, n.Queue, c.want)
			}
		}
		w.walled("secret", "south")
		n, err := w.desk.InboxCounts(w.as("sue"), nil)
		ok(t, err)
		if n.Queue != more {
			t.Errorf("with a private group below, sue counts %+v; want %+v", n.Queue, more)
		}
		w.arrives("hidden", "secret")
		if rows, err := w.db.Read.Contact.Query().Where(contact.Box(int(tree.BoxOf(tree.None, false)))).Count(w.as("sue")); err != nil || rows != 1010 {
			t.Errorf("sue sees %d, %v", rows, err)
		}
	})
}

// TestOfTheLatestOnlyIsAskedWhatIsUnread wants the price of counting to have an end for who serves thousands.
func TestOfTheLatestOnlyIsAskedWhatIsUnread(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if testing.Short() {
			t.Skip()
		}
		ana := w.users["ana"]
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			for i := range desk.MaxCount + 1 {
				if err := w.place(ctx, tx, fmt.Sprint("c", i), w.groups["north"], tree.Open, ana, int64(i)); err != nil {
					return err
				}
			}
			// Unread are the one to which nothing has happened for the longest time, and the two latest.
			_, err := tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO conversations (account_id, contact_id, number, subject, opened_at, agent_id, opened_by_id)
				SELECT account_id, id, 1000 + sort_key, '', created_at, %d, CASE WHEN sort_key BETWEEN 1 AND 999 THEN %d END
				FROM contacts WHERE assigned_user_id = %d`, ana, ana, ana))
			if err == nil {
				_, err = tx.ExecContext(ctx, fmt.Sprintf(`INSERT INTO stays (account_id, contact_id, conversation_id, group_id, agent_id, started_at, entered, begun_at, unanswered)
					SELECT account_id, contact_id, id, %d, %d, 0, 2, 0, FALSE FROM conversations`, w.groups["north"], ana))
			}
			return err
		})
		n, err := w.desk.InboxCounts(w.as("ana"), nil)
		ok(t, err)
		if more := (desk.Count{Contacts: 1000, More: true}); n.You != more || n.Unread != (desk.Count{Contacts: 2, More: true}) {
			t.Errorf("ana counts %+v of hers, %+v unread", n.You, n.Unread)
		}
	})
}
