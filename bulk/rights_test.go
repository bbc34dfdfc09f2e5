package bulk_test

import (
	"context"
	"fmt"
	"testing"

	"canopy/authz"
	"canopy/bulk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/auditevent"
	"canopy/refusal"
)

// events counts the recorded changes of that name.
func (w *world) events(action string) int {
	w.t.Helper()
	n, err := w.db.Read.AuditEvent.Query().Where(auditevent.AccountID(w.account.ID), auditevent.Action(action)).
		Count(authz.Trusted(context.Background()))
	w.must(err)
	return n
}

func TestNobodyImportsWhatTheyCouldNotCreate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.read(bulk.Groups, bulk.JSONLines, someGroups)
		w.role("Importer", authz.Pair{Permission: authz.ContactsImport, Scope: authz.ScopeSubtree}, authz.Pair{Permission: authz.GroupsView, Scope: authz.ScopeSubtree})
		sue, ada, ida := w.user("sue", "North", "DASHBOARD_ADMINISTRATOR"), w.user("ada", "North", "ADMINISTRATOR"), w.user("ida", "North", "Importer")
		both := w.user("bea", "North", "Importer", "DASHBOARD_ADMINISTRATOR")
		contacts := func(u *ent.User, want ...string) {
			t.Helper()
			w.want(w.take(u, bulk.Import{Kind: bulk.Contacts}, bulk.Record{Contact: &bulk.Contact{Name: "Basil", Group: bulk.Path{"North"}}},
				bulk.Record{Contact: &bulk.Contact{Name: "Basil", Group: bulk.Path{"Vault"}}},
				bulk.Record{Contact: &bulk.Contact{Name: "Basil", Group: bulk.Path{}}}), want...)
		}
		contacts(sue, "FORBIDDEN group", "NOT_FOUND group", "NOT_FOUND group") // no CONTACTS_IMPORT
		contacts(ida, "FORBIDDEN group", "NOT_FOUND group", "NOT_FOUND group") // no CONTACTS_CREATE
		contacts(both, "CREATED", "NOT_FOUND group", "NOT_FOUND group")
		contacts(ada, "FORBIDDEN group", "FORBIDDEN group", "FORBIDDEN group")

		inherit, restricted, mode := groupAt("North", "One"), groupAt("North", "Two"), groupAt("North", "Three")
		restricted.Group.Visibility = "RESTRICTED"
		manual, odd := "MANUAL", "ODD"
		mode.Group.AssignmentMode = &manual
		w.want(w.take(sue, bulk.Import{Kind: bulk.Groups}, inherit, restricted, mode, groupAt("Vault", "New")),
			"CREATED", "FORBIDDEN visibility", "CREATED", "NOT_FOUND path")
		w.want(w.take(ida, bulk.Import{Kind: bulk.Groups}, groupAt("North", "Four")), "FORBIDDEN path")
		bad, low := groupAt("North", "Five"), groupAt("North", "Six")
		bad.Group.AssignmentMode = &odd
		low.Group.Capacity = new(0)
		w.want(w.take(ada, bulk.Import{Kind: bulk.Groups}, bad, low, restricted), "BAD_USER_INPUT assignmentMode", "BAD_USER_INPUT capacity", "CREATED")

		user := func(grants ...bulk.Grant) bulk.Record {
			return bulk.Record{User: &bulk.User{Email: fmt.Sprint(w.clock.Add(1), "@acacia.example"), Name: "New", Home: bulk.Path{"North"}, Grants: grants}}
		}
		w.want(w.take(sue, bulk.Import{Kind: bulk.Users}, user()), "FORBIDDEN home")
		w.want(w.take(ada, bulk.Import{Kind: bulk.Users}, user(bulk.Grant{Role: "OWNER"}),
			user(bulk.Grant{Role: "AGENT"}, bulk.Grant{Role: "owner", Group: &bulk.Path{}}), user(bulk.Grant{Role: "DEVELOPER"}),
			user(bulk.Grant{Role: "AGENT", Until: new(start)})),
			"MAY_NOT_GIVE grants", "MAY_NOT_GIVE grants", "CREATED", "BAD_USER_INPUT grants")
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Users}, user(bulk.Grant{Role: "OWNER"})), "CREATED")
	})
}

func TestAccountsSetLimits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		set := func(change func(*ent.AccountUpdateOne)) {
			t.Helper()
			w.write(func(ctx context.Context, tx *ent.Tx) error {
				u := tx.Account.UpdateOneID(w.account.ID)
				change(u)
				return u.Exec(ctx)
			})
		}
		set(func(a *ent.AccountUpdateOne) { a.SetPlan(account.PlanSTARTER) })
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups}, groupAt("North")), "PLAN_LIMIT ")
		set(func(a *ent.AccountUpdateOne) {
			a.SetPlan(account.PlanPRO).SetGroupCreation(account.GroupCreationON_REQUEST)
		})
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups}, groupAt("North")), "CONFLICT ")
		set(func(a *ent.AccountUpdateOne) {
			a.SetGroupCreation(account.GroupCreationSELF_SERVICE).SetReasonRequired(true)
		})
		_, err := w.bulk.Import(w.as(w.owner), bulk.Import{Kind: bulk.Groups}, stream(groupAt("North")))
		if !isRefusal(err, refusal.ReasonRequired) {
			t.Errorf("without a reason: %v", err)
		}
		path := []string{}
		var records []bulk.Record
		var want []string
		for i := range 13 {
			path = append(path, fmt.Sprint("level ", i))
			records, want = append(records, groupAt(append([]string{}, path...)...)), append(want, "CREATED")
		}
		want[12] = "GROUP_TOO_DEEP "
		w.want(w.take(w.owner, bulk.Import{Kind: bulk.Groups, Reason: "because"}, records...), want...)
	})
}

// TestImportLeavesTheEventsOfSingleChanges compares what the audit trail says after either.
func TestImportLeavesTheEventsOfSingleChanges(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.read(bulk.Groups, bulk.JSONLines, someGroups)
		w.read(bulk.Users, bulk.JSONLines, `{"email":"ana@acacia.example","name":"Ana","home":["North"],"grants":[{"role":"AGENT"},{"role":"AGENT","group":[]}]}`)
		w.all()
		w.read(bulk.Contacts, bulk.JSONLines, `{"name":"Basil","group":[],"agent":"ana@acacia.example"}
{"name":"Dill","group":[]}`)
		for action, want := range map[string]int{"GROUP_CREATED": 8, "GROUP_SETTINGS_UPDATED": 3, "GROUP_UPDATED": 1, "USER_INVITED": 2,
			"ROLE_GRANTED": 3, "CONTACT_CREATED": 2, "CONTACT_ASSIGNED": 1} {
			if got := w.events(action); got != want {
				t.Errorf("%d events %s, not %d", got, action, want)
			}
		}
	})
}

func TestDryRunWritesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := w.events("GROUP_CREATED")
		var records []bulk.Record
		for i := range 300 { // several batches
			records = append(records, groupAt(fmt.Sprint("top ", i/10)), groupAt(fmt.Sprint("top ", i/10), fmt.Sprint("child ", i)))
		}
		for i, r := range w.take(w.owner, bulk.Import{Kind: bulk.Groups, DryRun: true, Fingerprint: "f"}, records...) {
			if want := i%20 == 0 || i%2 == 1; want != (r.Status == bulk.Created) {
				t.Fatalf("row %d is %s", i, r.Status)
			}
		}
		runs, err := w.db.Read.ImportRun.Query().Count(authz.Trusted(t.Context()))
		groups, _ := w.db.Read.Group.Query().Count(authz.Trusted(t.Context()))
		if w.events("GROUP_CREATED") != before || groups != 1 || runs != 0 || err != nil {
			t.Errorf("%d groups, %d runs, %v", groups, runs, err)
		}
	})
}

// TestManyGrantsAtOnce imports as many users as go at once, each with every role: more grants than one statement takes.
func TestManyGrantsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		grants := []bulk.Grant{}
		for _, role := range []string{"OWNER", "ADMINISTRATOR", "DASHBOARD_ADMINISTRATOR", "BILLING_MANAGER", "AGENT", "DEVELOPER"} {
			grants = append(grants, bulk.Grant{Role: role}, bulk.Grant{Role: role, Group: &bulk.Path{}})
		}
		records := make([]bulk.Record, bulk.MaxAtOnce)
		for i := range records {
			records[i].User = &bulk.User{Email: fmt.Sprintf("user%d@acacia.example", i), Name: "Una", Home: bulk.Path{}, Grants: grants}
		}
		sum, err := w.bulk.Import(w.as(w.owner), bulk.Import{Kind: bulk.Users, AtOnce: true}, stream(records...))
		if err != nil || sum.Created != bulk.MaxAtOnce {
			t.Fatalf("%+v, %v", sum, err)
		}
	})
}
