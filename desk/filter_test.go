package desk_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/tag"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

// talks gives contacts conversations, an earlier one and one that fits their state, with random tags, priorities and
// snoozing, and returns the last one of each contact.
func (w *world) talks(r *rand.Rand, tags []int64) map[int64]*ent.Conversation {
	w.t.Helper()
	last := map[int64]*ent.Conversation{}
	priorities := []conversation.Priority{conversation.PriorityLOW, conversation.PriorityNORMAL, conversation.PriorityURGENT}
	number := int64(0)
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		for _, c := range tx.Contact.Query().Where(contact.AccountID(w.account)).Order(contact.ByID()).AllX(ctx) {
			state := tree.Box(c.Box).State()
			for i := 0; i < 2 && state != tree.None; i++ {
				number++
				opened := time.Date(2027, 1, 1, 0, 0, 0, i*r.IntN(2), time.UTC) // some at the same moment
				v := tx.Conversation.Create().SetAccountID(w.account).SetContactID(c.ID).SetNumber(number).SetOpenedAt(opened).SetPriority(pick(r, priorities))
				if i == 0 || state == tree.Closed {
					v.SetClosedAt(opened)
				} else if c.AssignedUserID != nil {
					v.SetSnoozedUntil(pick(r, []time.Time{opened, opened.AddDate(5, 0, 0)})) // over, and for long
				}
				last[c.ID] = v.SaveX(ctx)
				for _, id := range tags {
					if r.IntN(3) == 0 {
						tx.ConversationTag.Create().SetAccountID(w.account).SetConversationID(last[c.ID].ID).SetTagID(id).SaveX(ctx)
					}
				}
			}
		}
		return nil
	})
	return last
}

func TestFilteredBoxesAreWhatFilteringBoxesGives(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		r := rand.New(rand.NewPCG(3, 9))
		users := w.chaos(r)
		tags := []int64{w.tag("olga", "One").ID, w.tag("olga", "Two").ID}
		last := w.talks(r, tags)
		having := map[[2]int64]bool{}
		for _, h := range db.Read.ConversationTag.Query().AllX(all()) {
			having[[2]int64{h.ConversationID, h.TagID}] = true
		}
		found := 0
		for _, name := range users {
			v := w.viewer(name)
			ctx := authz.NewContext(context.Background(), v)
			canTag := v.Permissions().Has(authz.ConversationsView) || v.Permissions().Has(authz.QueueView)
			for _, box := range []desk.Box{desk.BoxYou, desk.BoxQueue, desk.BoxTeammates, desk.BoxClosed} {
				for range 6 {
					f := randomFilter(r, tags, canTag)
					var want []int64
					for _, c := range w.naive(v, box, nil) {
						if l := last[c.ID]; fits(f, l, having) {
							want = append(want, c.ID)
						}
					}
					found += len(want)
					got := walk(t, pick(r, []int{3, 200}), func(after *desk.Position) (*desk.Page, error) {
						return w.desk.Inbox(ctx, desk.Query{Box: box, After: after, First: 3, Filter: f})
					})
					if !slices.Equal(got, want) {
						t.Errorf("%s, box %s, %s: got %v, want %v", name, box, show(f.TagID), got, want)
					}
					n, err := w.desk.InboxCount(ctx, desk.Query{Box: box, Filter: f})
					ok(t, err)
					if n != len(want) {
						t.Errorf("%s, box %s counts %d, want %d", name, box, n, len(want))
					}
				}
			}
		}
		if found < 100 {
			t.Errorf("only %d contacts were found", found)
		}
	})
}

func randomFilter(r *rand.Rand, tags []int64, canTag bool) desk.Filter {
	var f desk.Filter
	if canTag && r.IntN(2) == 0 {
		id := pick(r, tags)
		f.TagID = &id
	}
	if r.IntN(2) == 0 {
		p := pick(r, []conversation.Priority{conversation.PriorityLOW, conversation.PriorityURGENT})
		f.Priority = &p
	}
	if r.IntN(2) == 0 {
		snoozed := r.IntN(2) == 0
		f.Snoozed = &snoozed
	}
	return f
}

// fits judges the last conversation of a contact, nil for none.
func fits(f desk.Filter, last *ent.Conversation, having map[[2]int64]bool) bool {
	if f == (desk.Filter{}) {
		return true
	}
	if last == nil {
		return false
	}
	snoozed := last.SnoozedUntil != nil && last.SnoozedUntil.Year() > 2030
	return (f.TagID == nil || having[[2]int64{last.ID, *f.TagID}]) && (f.Priority == nil || *f.Priority == last.Priority) &&
		(f.Snoozed == nil || *f.Snoozed == snoozed)
}

func TestAFilterByAHiddenTagIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		id := w.tag("olga", "VIP").ID
		other := int64(1 << 40)
		for who, tagID := range map[string]*int64{"dev": &id, "ana": &other} {
			_, err := w.desk.Inbox(w.as(who), desk.Query{Box: desk.BoxQueue, First: 1, Filter: desk.Filter{TagID: tagID}})
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.desk.InboxCount(w.as(who), desk.Query{Box: desk.BoxQueue, Filter: desk.Filter{TagID: tagID}})
			refused(t, err, refusal.NotFoundCode, "")
		}
	})
}

// tag makes a tag.
func (w *world) tag(who, name string) *ent.Tag {
	w.t.Helper()
	made, err := w.desk.CreateTag(w.as(who), desk.CreateTag{Name: name, Colour: tag.ColourRED})
	if err != nil {
		w.t.Fatal(fmt.Errorf("making the tag %q: %w", name, err))
	}
	return made
}
