package desk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/conversationtag"
	"canopy/ent/generated/tag"
	"canopy/refusal"
	"canopy/relay"
)

// work are the ways to work on a conversation that need one of two permissions.
func (w *world) work(v, tagID int64) map[string]func(who string) error {
	subject, until := "Else", w.clock.Now().Add(24*time.Hour)
	return map[string]func(who string) error{
		"update": func(who string) error {
			_, err := w.desk.UpdateConversation(w.as(who), desk.UpdateConversation{ConversationID: v, Subject: &subject})
			return err
		},
		"tag": func(who string) error {
			_, err := w.desk.TagConversation(w.as(who), desk.TagConversation{ConversationID: v, Add: []int64{tagID}})
			return err
		},
		"snooze": func(who string) error {
			_, err := w.desk.SnoozeConversation(w.as(who), desk.SnoozeConversation{ConversationID: v, Until: &until})
			return err
		},
		"note": func(who string) error {
			_, err := w.desk.AddNote(w.as(who), desk.AddNote{ConversationID: v, Text: "Call back"})
			return err
		},
	}
}

func TestWhoWorksOnAConversation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vip := w.tag("olga", "VIP").ID
		w.role("Watcher", authz.Pair{Permission: authz.ConversationsView, Scope: authz.ScopeSubtree})
		w.user("wanda", "sales", "Watcher")
		mine, teammates := w.openOf(w.served("kim", "ana")).ID, w.openOf(w.served("lee", "dora")).ID
		waiting := w.openOf(w.writes("max", "north")).ID
		for what, try := range w.work(mine, vip) {
			for _, blind := range []string{"bruno", "carla", "vera", "adam", "dev"} {
				refused(t, try(blind), refusal.NotFoundCode, "")
			}
			lacks(t, try("wanda"), authz.ConversationsReply)
			for _, may := range []string{"ana", "sue", "olga"} {
				if err := try(may); err != nil {
					t.Errorf("%s by %s: %v", what, may, err)
				}
			}
		}
		for _, try := range w.work(teammates, vip) {
			lacks(t, try("emil"), authz.ConversationsReply)
		}
		for _, try := range w.work(waiting, vip) {
			lacks(t, try("ana"), authz.ConversationsReply) // sees it in the queue, and does not serve it
		}
	})
}

func TestChangingSubjectAndPriority(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		v := w.openOf(c)
		subject, urgent := "  A  late  parcel ", conversation.PriorityURGENT
		change := func(in desk.UpdateConversation) *ent.Conversation {
			t.Helper()
			in.ConversationID = v.ID
			got, err := w.desk.UpdateConversation(w.as("ana"), in)
			ok(t, err)
			return got
		}
		got := change(desk.UpdateConversation{Subject: &subject, Priority: &urgent})
		if got.Subject != "A late parcel" || got.Priority != urgent {
			t.Errorf("the conversation is %v", got)
		}
		if e := w.lastEvent(); e.Action != "CONVERSATION_UPDATED" || plain(e.Before) != `{"priority":"NORMAL","subject":""}` ||
			plain(e.After) != `{"priority":"URGENT","subject":"A late parcel"}` || *e.UserID != w.users["ana"] {
			t.Errorf("recorded: %s %s %s", e.Action, e.Before, e.After)
		}
		events := w.db.Read.AuditEvent.Query().CountX(all())
		change(desk.UpdateConversation{Subject: &subject, Priority: &urgent})
		change(desk.UpdateConversation{})
		if n := w.db.Read.AuditEvent.Query().CountX(all()); n != events {
			t.Error("a change of nothing is recorded")
		}
		long := strings.Repeat("é", 201)
		_, err := w.desk.UpdateConversation(w.as("ana"), desk.UpdateConversation{ConversationID: v.ID, Subject: &long})
		blames(t, err, "input.subject")
		w.closes(c)
		change(desk.UpdateConversation{Priority: ref(conversation.PriorityLOW)})
	})
}

// plain is a side of an event without the white space that PostgreSQL puts into JSON, its fields in order.
func plain(side json.RawMessage) string {
	var fields map[string]any
	if err := json.Unmarshal(side, &fields); err != nil {
		return string(side)
	}
	text, _ := json.Marshal(fields) // which has just been JSON
	return string(text)
}

func ref[T any](v T) *T { return &v }

func TestTagsAreUniqueAndManagedOnTheAccount(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vip := w.tag("adam", " Vip  customer ")
		if vip.Name != "Vip customer" || vip.Colour != tag.ColourRED {
			t.Errorf("the tag is %v", vip)
		}
		_, err := w.desk.CreateTag(w.as("olga"), desk.CreateTag{Name: "VIP CUSTOMER", Colour: tag.ColourGREY})
		refused(t, err, refusal.ConflictCode, refusal.NameTaken)
		other := w.tag("olga", "Other")
		_, err = w.desk.UpdateTag(w.as("olga"), desk.UpdateTag{TagID: other.ID, Name: ref("vip customer")})
		refused(t, err, refusal.ConflictCode, refusal.NameTaken)
		for _, name := range []string{"", " ", strings.Repeat("é", 51), "a\x00"} {
			_, err = w.desk.CreateTag(w.as("olga"), desk.CreateTag{Name: name, Colour: tag.ColourGREY})
			blames(t, err, "input.name")
		}
		for _, lacking := range []string{"sue", "ana"} { // who hold INBOX_SETTINGS_EDIT below the account, and nowhere
			_, err = w.desk.CreateTag(w.as(lacking), desk.CreateTag{Name: "x", Colour: tag.ColourGREY})
			lacks(t, err, authz.InboxSettingsEdit)
			_, err = w.desk.UpdateTag(w.as(lacking), desk.UpdateTag{TagID: vip.ID, Name: ref("x")})
			lacks(t, err, authz.InboxSettingsEdit)
			lacks(t, w.desk.DeleteTag(w.as(lacking), vip.ID), authz.InboxSettingsEdit)
		}
		refused(t, w.desk.DeleteTag(w.as("dev"), vip.ID), refusal.NotFoundCode, "")
		got, err := w.desk.UpdateTag(w.as("adam"), desk.UpdateTag{TagID: vip.ID, Name: ref("VIP"), Colour: ref(tag.ColourBLUE)})
		ok(t, err)
		if got.Name != "VIP" || got.NameKey != "vip" || got.Colour != tag.ColourBLUE {
			t.Errorf("the tag is %v", got)
		}
		v := w.openOf(w.served("kim", "ana"))
		w.tags("ana", v.ID, []int64{vip.ID, other.ID}, nil)
		ok(t, w.desk.DeleteTag(w.as("adam"), vip.ID))
		if got := w.tagsOf(v.ID); !slices.Equal(got, []int64{other.ID}) {
			t.Errorf("the conversation has the tags %v", got)
		}
		if e := w.lastEvent(); e.Action != "TAG_DELETED" || !strings.Contains(plain(e.Before), `"VIP"`) {
			t.Errorf("recorded: %s %s", e.Action, e.Before)
		}
		refused(t, w.desk.DeleteTag(w.as("adam"), vip.ID), refusal.NotFoundCode, "")
	})
}

func (w *world) tags(who string, v int64, add, remove []int64) {
	w.t.Helper()
	_, err := w.desk.TagConversation(w.as(who), desk.TagConversation{ConversationID: v, Add: add, Remove: remove})
	ok(w.t, err)
}

func (w *world) tagsOf(v int64) (ids []int64) {
	w.t.Helper()
	err := w.db.Read.ConversationTag.Query().Where(conversationtag.ConversationID(v)).Order(conversationtag.ByTagID()).
		Select(conversationtag.FieldTagID).Scan(all(), &ids)
	ok(w.t, err)
	return ids
}

func TestTaggingAConversation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var ids []int64
		for i := range desk.MaxConversationTags + 1 {
			ids = append(ids, w.tag("olga", fmt.Sprint("tag ", i)).ID)
		}
		v := w.openOf(w.served("kim", "ana")).ID
		w.tags("ana", v, []int64{ids[0], ids[0], ids[1]}, []int64{ids[2]})
		w.tags("ana", v, []int64{ids[1], ids[2]}, []int64{ids[0]})
		if got := w.tagsOf(v); !slices.Equal(got, ids[1:3]) {
			t.Errorf("the tags are %v", got)
		}
		e := w.lastEvent()
		name := func(id int64) string { return relay.NewID(relay.KindTag, id).String() }
		if e.Action != "CONVERSATION_TAGGED" || plain(e.Before) != fmt.Sprintf(`{"tags":[%q,%q]}`, name(ids[0]), name(ids[1])) ||
			plain(e.After) != fmt.Sprintf(`{"tags":[%q,%q]}`, name(ids[1]), name(ids[2])) {
			t.Errorf("recorded: %s %s %s", e.Action, e.Before, e.After)
		}
		w.tags("ana", v, []int64{ids[1]}, nil)
		if again := w.lastEvent(); again.ID != e.ID {
			t.Error("a change of nothing is recorded")
		}
		try := func(add, remove []int64) error {
			_, err := w.desk.TagConversation(w.as("ana"), desk.TagConversation{ConversationID: v, Add: add, Remove: remove})
			return err
		}
		blames(t, try(ids[:1], ids[:1]), "input.removeTagIds")
		refused(t, try([]int64{ids[0], 1 << 40}, nil), refusal.NotFoundCode, "")
		refused(t, try(nil, []int64{0}), refusal.NotFoundCode, "")
		refused(t, try(ids, nil), refusal.ConflictCode, refusal.TagLimit)
		ok(t, try(ids[1:], nil))
		ok(t, try(ids[:1], ids[1:2])) // one comes, one goes
	})
}

func TestTheNextConversationKeepsTagsAndPriority(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vip, c := w.tag("olga", "VIP").ID, w.served("kim", "ana")
		v := w.openOf(c)
		w.tags("ana", v.ID, []int64{vip}, nil)
		_, err := w.desk.UpdateConversation(w.as("ana"), desk.UpdateConversation{ConversationID: v.ID, Priority: ref(conversation.PriorityHIGH)})
		ok(t, err)
		w.snoozes("ana", v.ID, time.Hour)
		w.assigned(c, "bruno")
		old, next := w.conversations(c)[0], w.openOf(c)
		if next.ID == v.ID || next.Priority != conversation.PriorityHIGH || next.SnoozedUntil != nil || !slices.Equal(w.tagsOf(next.ID), []int64{vip}) {
			t.Errorf("the next conversation is %v with the tags %v", next, w.tagsOf(next.ID))
		}
		if old.SnoozedUntil != nil || *old.CloseReason != conversation.CloseReasonTRANSFERRED || !slices.Equal(w.tagsOf(old.ID), []int64{vip}) {
			t.Errorf("the old conversation is %v", old)
		}
	})
}

func (w *world) snoozes(who string, v int64, lasting time.Duration) *ent.Conversation {
	w.t.Helper()
	got, err := w.desk.SnoozeConversation(w.as(who), desk.SnoozeConversation{ConversationID: v, Until: ref(w.clock.Now().Add(lasting))})
	ok(w.t, err)
	return got
}

func TestNotesAreWrittenSeenAndDeleted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		v, before := w.openOf(c).ID, w.row(c)
		write := func(who, text string) (*ent.Note, error) {
			return w.desk.AddNote(w.as(who), desk.AddNote{ConversationID: v, Text: text})
		}
		for _, text := range []string{"", " \n", strings.Repeat("é", 4097), "nul\x00"} {
			_, err := write("ana", text)
			blames(t, err, "input.text")
		}
		hers, err := write("ana", strings.Repeat("é", 4096))
		ok(t, err)
		if hers.AuthorID != w.users["ana"] || !w.row(c).LastActivityAt.Equal(before.LastActivityAt) {
			t.Errorf("the note is of %d, the last activity of %v", hers.AuthorID, w.row(c).LastActivityAt)
		}
		if e := w.lastEvent(); e.Action != "NOTE_ADDED" || strings.Contains(plain(e.After), "é") {
			t.Errorf("recorded: %s %s", e.Action, e.After)
		}
		sues, err := write("sue", "Be nice to them.")
		ok(t, err)
		lacks(t, w.desk.DeleteNote(w.as("ana"), sues.ID), authz.ConversationsAssign)
		for _, blind := range []string{"bruno", "carla", "adam", "dev"} {
			refused(t, w.desk.DeleteNote(w.as(blind), sues.ID), refusal.NotFoundCode, "")
		}
		ok(t, w.desk.DeleteNote(w.as("sue"), hers.ID))
		if e := w.lastEvent(); e.Action != "NOTE_DELETED" || strings.Contains(plain(e.Before), "é") {
			t.Errorf("recorded: %s %s", e.Action, e.Before)
		}
		refused(t, w.desk.DeleteNote(w.as("sue"), hers.ID), refusal.NotFoundCode, "")
		w.closes(c)
		again, err := write("ana", "She called after all.")
		ok(t, err)
		ok(t, w.desk.DeleteNote(w.as("ana"), again.ID))
	})
}

func TestNotesAndTagsGoWithTheContact(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vip, c := w.tag("olga", "VIP").ID, w.served("kim", "ana")
		v := w.openOf(c).ID
		w.tags("ana", v, []int64{vip}, nil)
		_, err := w.desk.AddNote(w.as("ana"), desk.AddNote{ConversationID: v, Text: "Her number is 5511912341234."})
		ok(t, err)
		ok(t, w.desk.DeleteContact(w.as("olga"), desk.DeleteContact{ContactID: c}))
		notes, taggings, tags := w.db.Read.Note.Query().CountX(all()), w.db.Read.ConversationTag.Query().CountX(all()), w.db.Read.Tag.Query().CountX(all())
		if notes != 0 || taggings != 0 || tags != 1 {
			t.Errorf("there are %d notes, %d taggings and %d tags", notes, taggings, tags)
		}
		for _, e := range w.db.Read.AuditEvent.Query().AllX(all()) {
			if strings.Contains(plain(e.After)+plain(e.Before), "5511912341234") {
				t.Errorf("%s tells what the note said", e.Action)
			}
		}
	})
}

func TestSnoozing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		v := w.openOf(c).ID
		try := func(until *time.Time) error {
			_, err := w.desk.SnoozeConversation(w.as("ana"), desk.SnoozeConversation{ConversationID: v, Until: until})
			return err
		}
		blames(t, try(ref(w.clock.Now())), "input.until")
		blames(t, try(ref(w.clock.Now().AddDate(1, 0, 1))), "input.until")
		ok(t, try(ref(w.clock.Now().AddDate(1, 0, 0))))
		got := w.snoozes("ana", v, time.Hour)
		if got.SnoozedUntil == nil || w.lastEvent().Action != "CONVERSATION_SNOOZED" {
			t.Errorf("the conversation is %v, the event %v", got, w.lastEvent())
		}
		// It stays in its box, where filters tell it from others.
		w.boxes(c, "ana", desk.BoxYou, true)
		w.boxes(c, "sue", desk.BoxTeammates, true)
		// An answer leaves it aside, the contact's message takes it up.
		_, err := w.answers("ana", v)
		ok(t, err)
		w.boxes(c, "ana", desk.BoxYou, true)
		w.says("kim", nil)
		w.boxes(c, "ana", desk.BoxYou, false)
		if n := w.db.Read.AuditEvent.Query().Where(auditevent.Action("CONVERSATION_WOKEN")).CountX(all()); n != 1 {
			t.Errorf("%d times woken", n)
		}
		// Time passes, and nothing has to happen for it.
		w.snoozes("ana", v, time.Minute)
		w.clock.seconds.Add(61)
		w.boxes(c, "ana", desk.BoxYou, false)
		// By hand, and by closing.
		w.snoozes("ana", v, time.Hour)
		ok(t, try(nil))
		w.boxes(c, "ana", desk.BoxYou, false)
		ok(t, try(nil))
		w.snoozes("ana", v, time.Hour)
		w.closes(c)
		if closed := w.conversations(c)[0]; closed.SnoozedUntil != nil {
			t.Errorf("closed and put aside: %v", closed)
		}
		refused(t, try(ref(w.clock.Now().Add(time.Hour))), refusal.ConflictCode, refusal.NotOpen)
		waiting := w.openOf(w.writes("max", "north")).ID
		_, err = w.desk.SnoozeConversation(w.as("sue"), desk.SnoozeConversation{ConversationID: waiting, Until: ref(w.clock.Now().Add(time.Hour))})
		refused(t, err, refusal.ConflictCode, refusal.Waiting)
	})
}

func TestASnoozedConversationComesBackToTheTop(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, other := w.served("kim", "ana"), w.served("lee", "ana")
		v := w.openOf(c).ID
		top := func() int64 {
			t.Helper()
			page, err := w.desk.Inbox(w.as("ana"), desk.Query{Box: desk.BoxYou, First: 1})
			ok(t, err)
			return page.Entries[0].Contact.ID
		}
		run := func(want int) {
			t.Helper()
			n, err := w.desk.RunDue(context.Background())
			ok(t, err)
			if n != want {
				t.Errorf("%d timers ran, want %d", n, want)
			}
		}
		w.snoozes("ana", v, time.Minute)
		w.snoozes("ana", v, time.Hour) // instead
		w.clock.seconds.Add(61)
		run(0)
		if top() != other {
			t.Error("it came back too early")
		}
		w.clock.seconds.Add(3600)
		run(1)
		if woken := w.openOf(c); woken.SnoozedUntil != nil || top() != c {
			t.Errorf("the conversation is %v", woken)
		}
		if e := w.lastEvent(); e.Action != "CONVERSATION_WOKEN" || e.UserID != nil || e.Reason == "" {
			t.Errorf("recorded: %v", e)
		}
		// What is over by the time, or gone, is left alone.
		w.snoozes("ana", v, time.Minute)
		w.closes(c)
		w.snoozes("ana", w.openOf(other).ID, time.Minute)
		ok(t, w.desk.DeleteContact(w.as("olga"), desk.DeleteContact{ContactID: other}))
		w.clock.seconds.Add(120)
		run(2)
		if w.openOf(c) != nil || w.lastEvent().Action != "CONTACT_DELETED" {
			t.Errorf("the last event is %v", w.lastEvent())
		}
	})
}

func TestASnoozedConversationIsSilentOnPurpose(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.set("north", func(u *ent.GroupUpdateOne) { u.SetCloseAfter(600) })
		c := w.answered("kim", "ana")
		w.snoozes("ana", w.openOf(c).ID, time.Hour)
		for _, step := range []struct {
			minutes int64
			open    bool
		}{{30, true}, {31, true}, {5, true}, {11, false}} {
			w.clock.seconds.Add(60 * step.minutes)
			_, err := w.desk.RunDue(context.Background())
			ok(t, err)
			if open := w.openOf(c) != nil; open != step.open {
				t.Errorf("after %d minutes more it is open: %t", step.minutes, open)
			}
		}
		if closed := w.conversations(c); *closed[len(closed)-1].CloseReason != conversation.CloseReasonSILENT {
			t.Errorf("the conversations are %v", closed)
		}
	})
}

// boxes checks that the contact is in the box, and by which filter.
func (w *world) boxes(c int64, who string, box desk.Box, snoozed bool) {
	w.t.Helper()
	for _, filter := range []*bool{nil, ref(true), ref(false)} {
		page, err := w.desk.Inbox(w.as(who), desk.Query{Box: box, First: 10, Filter: desk.Filter{Snoozed: filter}})
		ok(w.t, err)
		in := slices.ContainsFunc(page.Entries, func(e desk.Entry) bool { return e.Contact.ID == c })
		if want := filter == nil || *filter == snoozed; in != want {
			w.t.Errorf("%s has the contact in %s, filtered by %v: %t", who, box, filter, in)
		}
	}
}

func TestClosingSaysWhy(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.served("kim", "ana")
		v := w.openOf(c).ID
		closes := func(why *conversation.CloseReason, note string) (*ent.Conversation, error) {
			return w.desk.CloseConversation(w.as("ana"), desk.CloseConversation{ConversationID: v, Reason: why, Note: note})
		}
		for _, own := range []conversation.CloseReason{conversation.CloseReasonSILENT, conversation.CloseReasonTRANSFERRED, conversation.CloseReasonHANDED_OVER} {
			_, err := closes(&own, "")
			blames(t, err, "input.closeReason")
		}
		_, err := closes(nil, strings.Repeat("é", 201))
		blames(t, err, "input.closeNote")
		got, err := closes(ref(conversation.CloseReasonSPAM), " Sells shoes. ")
		ok(t, err)
		if *got.CloseReason != conversation.CloseReasonSPAM || got.CloseNote != "Sells shoes." || got.ClosedAt == nil {
			t.Errorf("the conversation is %v", got)
		}
		if e := w.lastEvent(); !strings.Contains(plain(e.After), `"closeReason":"SPAM"`) || strings.Contains(plain(e.After), "shoes") {
			t.Errorf("recorded: %s", e.After)
		}
		// Opened anew it is another conversation.
		w.says("kim", nil)
		if open := w.openOf(c); open.CloseReason != nil || open.CloseNote != "" {
			t.Errorf("the conversation is %v", open)
		}
		w.closes(c)
		if list := w.conversations(c); list[1].CloseReason != nil {
			t.Errorf("the conversation is %v", list[1])
		}
	})
}

func TestTheAccountHasNoMoreTagsThanMany(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			creates := make([]*ent.TagCreate, desk.MaxTags-2)
			for i := range creates {
				name := fmt.Sprint("t", i)
				creates[i] = tx.Tag.Create().SetAccountID(w.account).SetName(name).SetNameKey(name).SetCreatedAt(w.clock.Now())
			}
			return tx.Tag.CreateBulk(creates...).Exec(ctx)
		})
		var wait sync.WaitGroup
		errs := make([]error, 6)
		for i := range errs {
			ctx := w.as("olga")
			wait.Go(func() {
				_, errs[i] = w.desk.CreateTag(ctx, desk.CreateTag{Name: fmt.Sprint("another ", i), Colour: tag.ColourGREY})
			})
		}
		wait.Wait()
		made := 0
		for _, err := range errs {
			if err == nil {
				made++
			} else if !errors.Is(err, refusal.Conflict(refusal.TagLimit, "")) {
				t.Error(err)
			}
		}
		if made != 2 {
			t.Errorf("%d tags were made above the limit", made)
		}
	})
}

func TestSubscribersHearOfWork(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		vip, c := w.tag("olga", "VIP").ID, w.served("kim", "ana")
		v := w.openOf(c).ID
		kinds := func() (n map[string]int) {
			t.Helper()
			rows, err := w.db.Read.QueryContext(context.Background(), "SELECT kind FROM events WHERE contact_id = $1", c)
			ok(t, err)
			defer rows.Close()
			n = map[string]int{}
			for rows.Next() {
				var kind string
				ok(t, rows.Scan(&kind))
				n[kind]++
			}
			ok(t, rows.Err())
			return n
		}
		for _, what := range []string{"update", "tag", "snooze", "note"} {
			before := kinds()
			ok(t, w.work(v, vip)[what]("ana"))
			after := kinds()
			contact := 1
			if what == "note" { // which no box shows
				contact = 0
			}
			if after["CONVERSATION"]-before["CONVERSATION"] != 1 || after["CONTACT"]-before["CONTACT"] != contact {
				t.Errorf("%s: the events were %v and are %v", what, before, after)
			}
		}
	})
}
