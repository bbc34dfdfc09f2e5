package desk_test

import (
	"fmt"
	"slices"
	"testing"

	"canopy/authz"
	"canopy/desk"
	"canopy/internal/testdb"
	"canopy/refusal"
)

func (w *world) box(who string, box desk.Box, under *int64) string {
	w.t.Helper()
	page, err := w.desk.Inbox(w.as(who), desk.Query{Box: box, Under: under, First: 100})
	ok(w.t, err)
	n, err := w.desk.InboxCount(w.as(who), desk.Query{Box: box, Under: under})
	ok(w.t, err)
	if n != len(page.Entries) || page.More {
		w.t.Errorf("the box %s of %s has %d contacts, counts %d, and says that more follow: %v", box, who, len(page.Entries), n, page.More)
	}
	return names(page)
}

// furnish makes contacts in every box, in this order.
func (w *world) furnish() {
	w.served("a-ana", "ana")
	w.served("b-bruno", "bruno")
	w.served("c-carla", "carla")
	w.served("d-dora", "dora")
	w.served("v-vera", "vera")
	w.served("w-vic", "vic")
	w.writes("q-root", "root")
	w.writes("q-north", "north")
	w.arrives("q-new", "sales")
	w.writes("q-support", "support")
	w.writes("q-vault", "vault")
	for _, agent := range []string{"ana", "carla", "dora", "vic"} {
		w.closes(w.served("z-"+agent, agent))
	}
	w.closes(w.writes("z-north", "north"))
}

func TestTheBoxesByKindOfViewer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.furnish()
		w.served("own", "olga")
		for _, c := range []struct {
			who                           string
			you, queue, teammates, closed string
		}{
			{"olga", "own", "q-root q-north q-new q-support q-vault z-north", "w-vic v-vera d-dora c-carla b-bruno a-ana", "z-north z-vic z-dora z-carla z-ana"},
			{"sue", "", "q-north q-new z-north", "c-carla b-bruno a-ana", "z-north z-carla z-ana"},
			{"ana", "a-ana", "q-root q-north q-new z-north", "", "z-ana"},
			{"bruno", "b-bruno", "q-root q-north q-new z-north", "", ""},
			{"dora", "d-dora", "q-root", "", "z-dora"},
			{"emil", "", "q-root", "d-dora", "z-dora"},
			{"vic", "w-vic", "q-root q-vault", "", "z-vic"},
			{"adam", "", "", "", ""},
			{"dev", "", "", "", ""},
		} {
			for box, want := range map[desk.Box]string{desk.BoxYou: c.you, desk.BoxQueue: c.queue, desk.BoxTeammates: c.teammates, desk.BoxClosed: c.closed} {
				if got := w.box(c.who, box, nil); got != want {
					t.Errorf("%s of %s is %q; want %q", box, c.who, got, want)
				}
			}
		}
	})
}

func TestUnderCutsToASubtreeAndShowsPrivateBranchesToWhoReachesThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.group("region", "root")
		w.group("plain", "region")
		w.walled("secret", "region")
		w.walled("deeper", "secret")
		for _, at := range []string{"region", "plain", "secret", "deeper"} {
			w.writes("q-"+at, at)
		}
		w.user("rita", "root", authz.RoleDashboardAdministrator)
		w.user("sid", "secret", authz.RoleDashboardAdministrator)
		w.writes("q-north", "north")
		for _, c := range []struct{ who, under, want string }{
			{"olga", "root", "q-region q-plain q-secret q-deeper q-north"},
			{"olga", "region", "q-region q-plain q-secret q-deeper"},
			{"olga", "secret", "q-secret q-deeper"},
			{"olga", "deeper", "q-deeper"},
			{"olga", "plain", "q-plain"},
			{"rita", "root", "q-region q-plain q-north"},
			{"rita", "region", "q-region q-plain"},
			{"sid", "secret", "q-secret"},
		} {
			if got := w.box(c.who, desk.BoxQueue, w.at(c.under)); got != c.want {
				t.Errorf("the queue of %s under %s is %q; want %q", c.who, c.under, got, c.want)
			}
		}
		// Seeing a private group is not reaching into it.
		w.role("Mapper", authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeAccount})
		w.user("rolf", "root", authz.RoleDashboardAdministrator, "Mapper")
		for under, want := range map[string]string{"region": "q-region q-plain", "secret": "", "deeper": ""} {
			if got := w.box("rolf", desk.BoxQueue, w.at(under)); got != want {
				t.Errorf("the queue of rolf under %s is %q; want %q", under, got, want)
			}
		}
		nowhere := int64(0)
		for who, under := range map[string]*int64{"rita": w.at("secret"), "sid": w.at("deeper"), "ana": w.at("sales"), "olga": &nowhere} {
			_, err := w.desk.Inbox(w.as(who), desk.Query{Box: desk.BoxQueue, Under: under, First: 1})
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.desk.Contacts(w.as(who), desk.ContactsQuery{Under: under, First: 1})
			refused(t, err, refusal.NotFoundCode, "")
			_, err = w.desk.InboxCount(w.as(who), desk.Query{Box: desk.BoxYou, Under: under})
			refused(t, err, refusal.NotFoundCode, "")
		}
	})
}

func TestTheNewestMessageComesFirstAndTheLongestWaitToo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.served("one", "ana")
		w.served("two", "ana")
		w.writes("three", "north")
		w.writes("four", "north")
		w.says("one", nil)
		w.says("three", nil)
		if got := w.box("ana", desk.BoxYou, nil); got != "one two" {
			t.Errorf("YOU is %q", got)
		}
		if got := w.box("ana", desk.BoxQueue, nil); got != "three four" {
			t.Errorf("QUEUE is %q", got)
		}
		page, err := w.desk.Contacts(w.as("sue"), desk.ContactsQuery{First: 10})
		ok(t, err)
		if got := names(page); got != "one four three two" {
			t.Errorf("the contacts are %q", got)
		}
	})
}

func TestAClosedContactThatWaitsIsListedByItsLastActivity(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two, three := w.served("one", "ana"), w.writes("two", "north"), w.served("three", "ana")
		w.closes(one)
		w.closes(three)
		w.closes(two)
		if got := w.box("sue", desk.BoxClosed, nil); got != "two three one" {
			t.Errorf("CLOSED is %q", got)
		}
	})
}

func TestWhoSeesOnlyContactsSeesTheListAndNoBox(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.role("Clerk", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeGroup})
		w.user("clara", "north", "Clerk")
		w.furnish()
		for _, box := range []desk.Box{desk.BoxYou, desk.BoxQueue, desk.BoxTeammates, desk.BoxClosed} {
			if got := w.box("clara", box, nil); got != "" {
				t.Errorf("%s is %q", box, got)
			}
		}
		page, err := w.desk.Contacts(w.as("clara"), desk.ContactsQuery{First: 10})
		ok(t, err)
		if got := names(page); got != "z-north z-ana q-north b-bruno a-ana" {
			t.Errorf("the contacts are %q", got)
		}
	})
}

func TestCountingEndsAt1001(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if testing.Short() {
			t.Skip()
		}
		w.fill(1010)
		for _, who := range []string{"olga", "sue", "ana"} {
			n, err := w.desk.InboxCount(w.as(who), desk.Query{Box: desk.BoxQueue})
			ok(t, err)
			m, err := w.desk.ContactsCount(w.as(who), desk.ContactsQuery{Search: "c"})
			ok(t, err)
			if n != desk.MaxCount || m != desk.MaxCount {
				t.Errorf("%s counts %d in the queue and %d contacts", who, n, m)
			}
		}
	})
}

// A page takes one statement, and one more to look at the group it is under.
func TestAPageTakesOneStatementHoweverMuchThereIs(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		statements := testdb.Statements(w.db)
		w.furnish()
		for i := range 20 {
			w.walled(fmt.Sprint("secret ", i), "sales")
		}
		olga, emil := w.as("olga"), w.as("emil")
		for _, box := range []desk.Box{desk.BoxYou, desk.BoxQueue, desk.BoxTeammates, desk.BoxClosed} {
			statements.Reset()
			_, err := w.desk.Inbox(emil, desk.Query{Box: box, First: 3})
			ok(t, err)
			if n := statements.Count(); n > 1 {
				t.Errorf("%s took %q", box, statements.List())
			}
			statements.Reset()
			_, err = w.desk.Inbox(olga, desk.Query{Box: box, First: 3, Under: w.at("sales")})
			ok(t, err)
			if n := statements.Count(); n > 2 {
				t.Errorf("%s under a group took %q", box, statements.List())
			}
		}
	})
}

// TestManyPlacesOneAboveAnother reads more streams than are written one by one. The conversations of every place but
// the last are seen from above too, and what is behind a wall is not.
func TestManyPlacesOneAboveAnother(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.role("Talker", authz.Pair{Permission: authz.ConversationsView, Scope: authz.ScopeSubtree})
		w.role("Reader", authz.Pair{Permission: authz.ContactsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree})
		w.group("region", "root")
		w.user("many", "region")
		w.grant("many", "Talker", "region")
		var want []string
		for i := range 8 {
			branch, wall := fmt.Sprint("branch", i), fmt.Sprint("wall", i)
			w.group(branch, map[bool]string{true: "region", false: "root"}[i < 7])
			w.walled(wall, branch)
			w.grant("many", "Reader", branch)
			w.arrives("hidden", wall)
			w.arrives(branch, branch)
			want = append(want, branch)
		}
		slices.Reverse(want)
		for _, first := range []int{1, 3, 8, 100} {
			var got []string
			var after *desk.Position
			for more := true; more; {
				page, err := w.desk.Contacts(w.as("many"), desk.ContactsQuery{After: after, First: first})
				ok(t, err)
				for _, e := range page.Entries {
					got, after = append(got, e.Contact.Name), &e.Position
				}
				more = page.More
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d a page: %v; want %v", first, got, want)
			}
		}
		seen, err := w.db.Read.Contact.Query().Count(w.as("many"))
		if err != nil || seen != len(want) {
			t.Errorf("the row rule shows %d contacts, %v; want %d", seen, err, len(want))
		}
	})
}

// TestAPageHasWholeContacts compares with what Ent reads.
func TestAPageHasWholeContacts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.furnish()
		page, err := w.desk.Contacts(w.as("olga"), desk.ContactsQuery{First: 100})
		ok(t, err)
		for _, e := range page.Entries {
			if got, want := e.Contact.String(), w.row(e.Contact.ID).String(); got != want {
				t.Errorf("got %s\nwant %s", got, want)
			}
		}
	})
}
