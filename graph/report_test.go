package graph_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/user"
	"canopy/internal/hours"
	"canopy/internal/testdb"
	"canopy/relay"
	"canopy/store"
)

// report asks for the report of a group over the days about now.
func (w *world) report(group, more, selection string) string {
	return fmt.Sprintf(`{ groupReport(groupId: "%s", from: "2027-02-28T00:00:00Z", to: "2027-03-03T00:00:00Z"%s) { %s } }`, w.id(relay.KindGroup, group), more, selection)
}

// TestReportsShowWhatTheViewerReaches asks about the same conversations from above, from beside, from behind walls and from
// another account. What is hidden is in no number.
func TestReportsShowWhatTheViewerReaches(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		w.user("gone", "south", authz.RoleAgent)
		w.stays()
		w.stood("Max", "south", "gone")
		w.changeUser("gone", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED).SetDeactivatedAt(now) })
		w.role("Analyst", authz.Pair{Permission: authz.AnalyticsView, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree})
		w.user("rita", "root")
		w.grant("rita", "Analyst", "root")
		w.role("Half", authz.Pair{Permission: authz.AnalyticsView, Scope: authz.ScopeAccount}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeGroup})
		w.user("hal", "sales")
		w.grant("hal", "Half", "sales")

		const rows = `total { open waiting } own { open } groups { group { name } numbers { open } } otherGroups { open } agents { agent { name } numbers { open } } otherAgents { taken }`
		row := func(kind, name string, open int) string {
			return fmt.Sprintf(`{"%s":{"name":"%s"},"numbers":{"open":%d}}`, kind, name, open)
		}
		report := func(open, waiting, own int, groups []string, other string, agents []string, others string) string {
			return fmt.Sprintf(`{"groupReport":{"total":{"open":%d,"waiting":%d},"own":{"open":%d},"groups":[%s],"otherGroups":%s,"agents":[%s],"otherAgents":%s}}`,
				open, waiting, own, strings.Join(groups, ","), other, strings.Join(agents, ","), others)
		}
		// The owner sees all; Max was with somebody who has left.
		same(t, w.ask("olga", "%s", w.report("root", "", rows)), report(4, 1, 0,
			[]string{row("group", "sales", 3), row("group", "vault", 1), row("group", "support", 0)}, "null",
			[]string{row("agent", "ana", 1), row("agent", "carla", 1), row("agent", "vera", 1)}, `{"taken":1}`))
		// Rita's reach ends at the wall of vault, and she sees nobody's card.
		same(t, w.ask("rita", "%s", w.report("root", "", rows)), report(3, 1, 0,
			[]string{row("group", "sales", 3), row("group", "support", 0)}, "null", nil, `{"taken":3}`))
		same(t, w.ask("sue", "%s", w.report("sales", "", rows)), report(3, 1, 0,
			[]string{row("group", "north", 2), row("group", "south", 1)}, "null", []string{row("agent", "ana", 1), row("agent", "carla", 1)}, `{"taken":1}`))
		// Hal may have numbers of everything, and sees one group: numbers tell nothing of groups that are not there for him.
		same(t, w.ask("hal", "%s", w.report("sales", "", rows)), report(0, 0, 0, nil, "null", nil, "null"))
		for who, group := range map[string]string{"hal": "north", "rita": "vault", "sue": "root", "vera": "sales"} {
			if got := w.refused(w.as(who), w.report(group, "", rows), nil); got["code"] != "NOT_FOUND" {
				t.Errorf("%s at %s: %v", who, group, got)
			}
		}
		for who, group := range map[string]string{"ana": "north", "vera": "vault"} {
			if got := w.refused(w.as(who), w.report(group, "", rows), nil); got["code"] != "FORBIDDEN" || got["permission"] != "ANALYTICS_VIEW" {
				t.Errorf("%s at %s: %v", who, group, got)
			}
		}
	})
}

// TestReportsSayWhatIsWrongWithATime blames the argument.
func TestReportsSayWhatIsWrongWithATime(t *testing.T) {
	w := company(t, testdb.SQLite(t))
	ask := func(from, to, more string) string {
		return fmt.Sprintf(`{ groupReport(groupId: "%s", from: "%s", to: "%s"%s) { buckets { from to } } }`, w.id(relay.KindGroup, "sales"), from, to, more)
	}
	for field, query := range map[string]string{
		"timeZone": ask("2027-03-01T00:00:00Z", "2027-03-02T00:00:00Z", `, timeZone: "Europe/Atlantis"`),
		"to":       ask("2027-03-01T00:00:00Z", "2027-03-01T00:00:00Z", ""),
		"interval": ask("2027-01-01T00:00:00Z", "2028-03-01T00:00:00Z", ", interval: DAY"),
		"from":     ask("0001-01-01T00:00:00Z", "2028-03-01T00:00:00Z", ", interval: MONTH"),
	} {
		if got := w.refused(w.as("sue"), query, nil); got["code"] != "BAD_USER_INPUT" || got["field"] != field {
			t.Errorf("%s: %v", field, got)
		}
	}
	// The day on which Lisbon puts its clocks forward has 23 hours, and the report begins and ends within days.
	same(t, w.ask("sue", "%s", ask("2027-03-27T12:00:00Z", "2027-03-29T11:00:00Z", `, timeZone: "Europe/Lisbon"`)),
		`{"groupReport":{"buckets":[{"from":"2027-03-27T12:00:00.000000Z","to":"2027-03-28T00:00:00.000000Z"},`+
			`{"from":"2027-03-28T00:00:00.000000Z","to":"2027-03-28T23:00:00.000000Z"},{"from":"2027-03-28T23:00:00.000000Z","to":"2027-03-29T11:00:00.000000Z"}]}}`)
}

// TestPanelShowsWhoGetsNewContacts has an agent in each state. Who was deactivated is not in it; what they hold is counted.
func TestPanelShowsWhoGetsNewContacts(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := company(t, db)
		for _, name := range []string{"full", "free", "gone", "night"} {
			w.user(name, "north", authz.RoleAgent)
		}
		available := func(u *ent.UserUpdateOne) { u.SetAvailability(user.AvailabilityAVAILABLE) }
		w.changeUser("full", func(u *ent.UserUpdateOne) { available(u.SetCapacity(1)) })
		w.changeUser("free", available)
		w.changeUser("night", func(u *ent.UserUpdateOne) { // works on Mondays from ten, and it is nine
			available(u.SetWorkingHours(&hours.Week{TimeZone: "UTC", Shifts: []hours.Shift{{Day: time.Monday, Start: 10 * 60, End: 11 * 60}}}))
		})
		w.user("cora", "north", authz.RoleAgent)
		w.user("cleo", "north", authz.RoleAgent)
		for name, ends := range map[string]time.Time{"cora": now.Add(time.Hour), "cleo": now} { // that of Cleo is over
			w.changeUser(name, available)
			w.write(func(ctx context.Context, tx *ent.Tx) error {
				return tx.Cover.Create().SetAccountID(w.account).SetUserID(w.ids[name]).SetToID(w.ids["free"]).SetStartedByID(w.ids["sue"]).
					SetStartedAt(now.Add(-time.Hour)).SetEndsAt(ends).Exec(ctx)
			})
		}
		w.changeUser("bruno", func(u *ent.UserUpdateOne) { available(u.SetAccessPausedAt(now)) })
		w.contact("Fred", "north", "full")
		w.contact("Gil", "north", "gone")
		w.changeUser("gone", func(u *ent.UserUpdateOne) { u.SetStatus(user.StatusDEACTIVATED).SetDeactivatedAt(now) })

		panel := func(group string, below bool) string {
			return fmt.Sprintf(`{ agentPanel(groupId: "%s", below: %t) { queue { waiting oldestSince } heldByLeavers
				agents { totalCount nodes { agent { name } state pausedSince load capacity { value own setBy { name } } } } } }`, w.id(relay.KindGroup, group), below)
		}
		entry := func(name, state, paused string, load int, capacity string) string {
			return fmt.Sprintf(`{"agent":{"name":"%s"},"state":"%s","pausedSince":%s,"load":%d,"capacity":%s}`, name, state, paused, load, capacity)
		}
		const stamp = `"2027-03-01T09:00:00.000000Z"`
		inherited := `{"value":7,"own":false,"setBy":null}` // by the root, which Sue does not see
		north := []string{entry("ana", "AWAY", "null", 1, inherited), entry("bruno", "PAUSED", stamp, 0, inherited),
			entry("cleo", "AVAILABLE", "null", 0, inherited), entry("cora", "COVERED", "null", 0, inherited),
			entry("free", "AVAILABLE", "null", 0, inherited), entry("full", "FULL", "null", 1, `{"value":1,"own":true,"setBy":null}`),
			entry("night", "OUTSIDE_HOURS", "null", 0, inherited)}
		oldest := `"2027-03-01T09:00:00.000001Z"` // contacts of this world are listed a microsecond apart
		same(t, w.ask("sue", "%s", panel("north", false)), fmt.Sprintf(`{"agentPanel":{"queue":{"waiting":1,"oldestSince":%s},"heldByLeavers":1,"agents":{"totalCount":7,"nodes":[%s]}}}`,
			oldest, strings.Join(north, ",")))
		south := append(append([]string{}, north[:2]...), entry("carla", "AWAY", "null", 1, inherited))
		same(t, w.ask("sue", "%s", panel("sales", true)), fmt.Sprintf(`{"agentPanel":{"queue":{"waiting":1,"oldestSince":%s},"heldByLeavers":1,"agents":{"totalCount":8,"nodes":[%s]}}}`,
			oldest, strings.Join(append(south, north[2:]...), ",")))
		// Adam sees no contacts, and so none that a leaver holds.
		if got := w.ask("adam", "%s", panel("root", true)); !strings.Contains(got, `"heldByLeavers":0`) || !strings.Contains(got, `"vera"`) || !strings.Contains(got, `"setBy":{"name":"root"}`) {
			t.Errorf("adam: %s", got)
		}
		if got := w.refused(w.as("ana"), panel("north", false), nil); got["code"] != "FORBIDDEN" || got["permission"] != "AGENT_PANEL_VIEW" {
			t.Errorf("ana: %v", got)
		}
	})
}

func (w *world) changeUser(name string, change func(*ent.UserUpdateOne)) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) error {
		u := tx.User.UpdateOneID(w.ids[name])
		change(u)
		return u.Exec(ctx)
	})
}
