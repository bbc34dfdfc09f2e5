package authz_test

import (
	"slices"
	"testing"

	"canopy/authz"

	"pgregory.net/rapid"
)

// The consequences that the domain draws from the chart in section 3. The seventh, that switched settings count at
// the next request, needs rows: it is tested in directory; the eighth in ent/rule and graph.

// holding returns a viewer with the built-in roles, all at the place.
func holding(at authz.Place, keys ...string) *authz.Viewer {
	v := &authz.Viewer{AccountID: 1, UserID: viewerID, Home: at}
	for _, key := range keys {
		role, ok := authz.BuiltInRole(key)
		if !ok {
			panic(key)
		}
		v.Grants = append(v.Grants, authz.Grant{RoleKey: key, Place: at, Pairs: role.Pairs})
	}
	return v
}

func TestConsequence1_OwnerEqualsTheWholeListAndOthersAreStrictSubsets(t *testing.T) {
	owner := holding(root, authz.RoleOwner).Permissions()
	if owner != authz.SetOf(authz.Permissions()...) || owner.Len() != len(rows(t)) {
		t.Errorf("OWNER holds %d of %d permissions", owner.Len(), len(rows(t)))
	}
	for _, key := range []string{authz.RoleDashboardAdministrator, authz.RoleAgent} {
		if held := holding(root, key).Permissions(); !held.Within(owner) || held == owner || held == 0 {
			t.Errorf("%s is no strict subset of OWNER", key)
		}
	}
}

func TestConsequence2_AgentSeesOnlyServiceModule(t *testing.T) {
	for _, shared := range []bool{false, true} {
		agent := holding(middle, authz.RoleAgent)
		agent.Grants[0].SharedInbox = shared
		if modules := agent.Permissions().Modules(); !slices.Equal(modules, []authz.Module{authz.ModuleService}) {
			t.Errorf("an agent sees %v", modules)
		}
		for _, assignee := range []int64{viewerID, otherID, 0} {
			for _, p := range []authz.Permission{authz.ContactsEdit, authz.ContactsDelete} {
				if agent.Can(p, authz.AtContact(middle, assignee)) {
					t.Errorf("an agent has %s for a contact assigned to %d", p, assignee)
				}
			}
		}
	}
}

func TestConsequence3_DashboardAdministratorIsRefusedGroupsAndUsersSettingsAndBilling(t *testing.T) {
	v := holding(root, authz.RoleDashboardAdministrator)
	for _, r := range rows(t) {
		if r.module != "GROUPS_AND_USERS" && r.module != "SETTINGS" && r.module != "BILLING" {
			continue
		}
		p, _ := authz.ParsePermission(r.permission)
		for _, at := range targets {
			if v.Can(p, at.target) {
				t.Errorf("a dashboard administrator has %s for %s", p, at.name)
			}
		}
	}
}

func TestConsequence4_AgentDashboardAdministratorAndOwnerTogetherMayDoEverything(t *testing.T) {
	v := holding(below, authz.RoleAgent, authz.RoleDashboardAdministrator, authz.RoleOwner)
	for _, p := range authz.Permissions() {
		for _, at := range targets {
			// Who may do everything still has no queue of contacts that somebody serves (ruling 3).
			queue := p == authz.QueueView || p == authz.QueueClaim
			if refused := queue && has(assigned, at.name); v.Can(p, at.target) == refused {
				t.Errorf("%s for %s is %t", p, at.name, refused)
			}
		}
	}
}

func TestConsequence5_AddingAGrantTakesNothingAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		more := w.drawGrant(t, "added")
		before := w.viewer()
		w.grants = append(w.grants, more)
		after := w.viewer()
		for _, p := range authz.Permissions() {
			for _, target := range w.targets() {
				if before.Can(p, w.authz(target)) && !after.Can(p, w.authz(target)) {
					t.Fatalf("adding %+v took %s for %+v away", more, p, target)
				}
			}
		}
		for _, g := range w.groups {
			if before.Holding(w.place(g)).Beyond(after.Holding(w.place(g))) != 0 {
				t.Fatalf("adding %+v made what is held at %d smaller", more, g.id)
			}
		}
		if !before.Permissions().Within(after.Permissions()) {
			t.Fatal("adding a grant took permissions away")
		}
	})
}

func TestConsequence6_OnlyOwnerAndBillingManagerReachBilling(t *testing.T) {
	for _, role := range authz.BuiltInRoles() {
		reaches := slices.Contains(role.Pairs.Permissions().Modules(), authz.ModuleBilling)
		if want := role.Key == "OWNER" || role.Key == "BILLING_MANAGER"; reaches != want {
			t.Errorf("%s reaches BILLING: %t", role.Key, reaches)
		}
	}
}

// TestWhoMayGiveWhat is the second limit on giving access.
func TestWhoMayGiveWhat(t *testing.T) {
	all := []string{"OWNER", "ADMINISTRATOR", "DASHBOARD_ADMINISTRATOR", "BILLING_MANAGER", "AGENT", "DEVELOPER"}
	want := map[string][]string{"OWNER": all, "ADMINISTRATOR": all[1:]}
	custom := map[string]authz.CustomGiving{"OWNER": authz.GivesAllCustom, "ADMINISTRATOR": authz.GivesCoveredCustom}
	for _, role := range authz.BuiltInRoles() {
		if !slices.Equal(role.MayGive, want[role.Key]) || role.GivesCustom != custom[role.Key] {
			t.Errorf("%s may give %v, custom roles %d", role.Key, role.MayGive, role.GivesCustom)
		}
	}
}

// TestBuiltInRolesKeepTheRulesOfCustomOnes: what the table asks of custom roles holds for the built-in ones too, and for templates.
func TestBuiltInRolesKeepTheRulesOfCustomOnes(t *testing.T) {
	all := map[string]authz.Pairs{}
	for _, role := range authz.BuiltInRoles() {
		all[role.Key] = role.Pairs
	}
	for _, template := range authz.Templates() {
		all[template.Key] = template.Pairs
	}
	for key, pairs := range all {
		for _, pair := range pairs.List() {
			d := pair.Permission.Definition()
			if d.AccountOnly && pair.Scope != authz.ScopeAccount {
				t.Errorf("%s holds %s at %s", key, d.Name, pair.Scope)
			}
			for _, needed := range d.Requires {
				if !pairs.Cover(authz.Pair{Permission: needed, Scope: pair.Scope}) {
					t.Errorf("%s holds %s at %s without %s", key, d.Name, pair.Scope, needed)
				}
			}
		}
	}
}

func TestCanAllocatesNothing(t *testing.T) {
	v := holding(middle, authz.RoleAgent, authz.RoleDashboardAdministrator, authz.RoleBillingManager)
	for len(v.Grants) < 100 {
		v.Grants = append(v.Grants, v.Grants[len(v.Grants)%3])
	}
	v.Grants[0].Queues = []int64{root.GroupID, middle.GroupID}
	allocations := testing.AllocsPerRun(100, func() {
		for _, at := range targets {
			v.Can(authz.QueueView, at.target)
			v.Can(authz.UsersDelete, at.target)
		}
		v.CanAccount(authz.BillingView)
		v.Holding(behind)
	})
	if allocations != 0 {
		t.Errorf("checking allocates %v times", allocations)
	}
}
