package desk_test

import (
	"strings"
	"testing"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/message"
	"canopy/refusal"
)

func (w *world) answers(who string, conversation int64) (*ent.Message, error) {
	w.t.Helper()
	return w.desk.SendMessage(w.as(who), desk.SendMessage{ConversationID: conversation, Text: "Good morning"})
}

func TestAnAnswerNeedsAnOpenConversationAndThePermissionAtIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		v := w.openOf(c).ID
		got, err := w.answers("ana", v)
		ok(t, err)
		if got.Direction != message.DirectionOUTBOUND || *got.AuthorID != w.users["ana"] || got.Text != "Good morning" {
			t.Errorf("the message is %v", got)
		}
		if row := w.row(c); !row.LastActivityAt.Equal(got.SentAt) || row.SortKey != got.SentAt.UnixMicro() {
			t.Errorf("the contact is %v", row)
		}
		for _, blind := range []string{"bruno", "carla", "vera", "adam", "dev"} {
			_, err = w.answers(blind, v)
			refused(t, err, refusal.NotFoundCode, "")
		}
		_, err = w.answers("sue", v)
		lacks(t, err, authz.ConversationsReply)
		_, err = w.answers("olga", v)
		ok(t, err)
		_, err = w.answers("emil", w.openOf(w.served("lee", "dora")).ID)
		lacks(t, err, authz.ConversationsReply)
		w.closes(c)
		_, err = w.answers("ana", v)
		refused(t, err, refusal.ConflictCode, refusal.NotOpen)
	})
}

func TestAMessageHas1To4096Characters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		v := w.openOf(w.served("kim", "ana")).ID
		for _, text := range []string{"", " \n\t", strings.Repeat("é", 4097), "nul\x00"} {
			_, err := w.desk.SendMessage(w.as("ana"), desk.SendMessage{ConversationID: v, Text: text})
			blames(t, err, "input.text")
		}
		_, err := w.desk.SendMessage(w.as("ana"), desk.SendMessage{ConversationID: v, Text: strings.Repeat("é", 4096)})
		ok(t, err)
	})
}

func TestAMessageToAWaitingContactKeepsItsPlaceInTheQueue(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.writes("kim", "north")
		before := w.row(c)
		_, err := w.answers("olga", w.openOf(c).ID)
		ok(t, err)
		w.says("kim", nil)
		after := w.row(c)
		if after.SortKey != before.SortKey || !after.WaitingSince.Equal(*before.WaitingSince) || !after.LastActivityAt.After(before.LastActivityAt) {
			t.Errorf("the contact was %v and is %v", before, after)
		}
		w.waitsIn(c, "north")
	})
}

// Consequence 7 of section 3 of the domain.
func TestTurningASharedInboxOffTakesEffectOnTheNextRequest(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.served("kim", "dora")
		teammates := func() int {
			page, err := w.desk.Inbox(w.as("emil"), desk.Query{Box: desk.BoxTeammates, First: 10})
			ok(t, err)
			return len(page.Entries)
		}
		if n := teammates(); n != 1 {
			t.Errorf("emil sees %d contacts of teammates", n)
		}
		w.set("support", func(u *ent.GroupUpdateOne) { u.SetSharedInbox(false) })
		if n := teammates(); n != 0 {
			t.Errorf("emil still sees %d contacts of teammates", n)
		}
	})
}

// Until contacts are distributed, the queue of a group that is not MANUAL is open to its supervisors only.
func TestWhatAMethodWouldDistributeWaitsForASupervisor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, mode := range []group.AssignmentMode{group.AssignmentModeROUND_ROBIN, group.AssignmentModeRADAR} {
			w.set("south", func(u *ent.GroupUpdateOne) { u.SetAssignmentMode(mode) })
			c := w.writes("kim "+string(mode), "south")
			w.waitsIn(c, "south")
			_, err := w.claims("carla", c)
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.assigns("sue", c, w.id("carla"), nil)
			ok(t, err)
		}
	})
}
