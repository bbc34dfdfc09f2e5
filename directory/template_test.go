package directory_test

import (
	"slices"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
)

// TestTemplatesAreMadeByAdministrators makes each template as it is, with and without changes of one's own.
func TestTemplatesAreMadeByAdministrators(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for _, template := range authz.Templates() {
			for _, by := range []*ent.User{w.owner, w.administrator} {
				made, err := w.s.CreateRole(w.as(by), directory.CreateRole{Name: template.Name + " of " + by.Name, Template: template.Key})
				allows(t, err)
				if made.Description != template.Description || made.PolicyNote != template.PolicyNote || authz.PairsOf(made.Pairs) != template.Pairs {
					t.Errorf("%s is made as %+v", template.Key, made)
				}
				if got := w.mayGive(made); !slices.Equal(got, slices.Sorted(slices.Values(template.MayGive))) {
					t.Errorf("holders of %s may give %v", template.Key, got)
				}
			}
		}
		own, err := w.s.CreateRole(w.as(w.owner), directory.CreateRole{Name: "Own", Template: authz.TemplateBranchManager,
			PolicyNote: "Ask Olga.", Pairs: at(authz.ScopeSubtree, authz.GroupsView), MayGive: []int64{}})
		allows(t, err)
		if own.PolicyNote != "Ask Olga." || len(own.Pairs) != 1 || len(w.mayGive(own)) != 0 {
			t.Errorf("what is given beside a template does not count: %+v", own)
		}
		_, err = w.s.CreateRole(w.as(w.supervisor), directory.CreateRole{Name: "Mine", Template: authz.TemplateAuditor})
		lacks(t, err, authz.RolesManage)
		// An author who may give less makes none of more.
		author := w.user("Art Author", w.root)
		w.grant(author, w.custom("Author", []*ent.Role{w.role(authz.RoleAgent)}, at(authz.ScopeAccount, authz.RolesView, authz.RolesManage, authz.UsersView, authz.RolesAssign)...), nil)
		_, err = w.s.CreateRole(w.as(author), directory.CreateRole{Name: "Big", Template: authz.TemplateBranchManager})
		refuses(t, err, refusal.ForbiddenCode, refusal.WiderThanAuthor)
	})
}

// mayGive lists the keys of the built-in roles, and the names of the others, that a role lists.
func (w *world) mayGive(r *ent.Role) (names []string) {
	w.t.Helper()
	listed, err := w.db.Read.Role.QueryMayGive(r).All(trusted())
	w.must(err)
	for _, l := range listed {
		if l.Key != nil {
			names = append(names, *l.Key)
		} else {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestCloneRole(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		clone := func(by *ent.User, of *ent.Role, name string) (*ent.Role, error) {
			return w.s.CloneRole(w.as(by), directory.CloneRole{RoleID: of.ID, Name: name, Reason: "a variant"})
		}
		for _, key := range []string{authz.RoleAgent, authz.RoleDashboardAdministrator, authz.RoleAdministrator, authz.RoleBillingManager, authz.RoleDeveloper} {
			builtIn, _ := authz.BuiltInRole(key)
			made, err := clone(w.administrator, w.role(key), "Like "+key)
			allows(t, err)
			if made.Key != nil || authz.PairsOf(made.Pairs) != builtIn.Pairs || !slices.Equal(w.mayGive(made), slices.Sorted(slices.Values(builtIn.MayGive))) {
				t.Errorf("the clone of %s holds %v and lists %v", key, made.Pairs, w.mayGive(made))
			}
		}
		e, err := db.Read.AuditEvent.Query().Where(auditevent.Action("ROLE_CREATED")).Order(ent.Desc(auditevent.FieldID)).First(trusted())
		w.must(err)
		if e.Reason != "a variant" || !strings.Contains(string(e.After), "clonedFrom") || !strings.Contains(string(e.After), "pairs") {
			t.Errorf("recorded as %+v", e)
		}

		// Nothing is cut down to what its author may give: it is refused.
		_, err = clone(w.administrator, w.role(authz.RoleOwner), "Like an owner")
		refuses(t, err, refusal.ForbiddenCode, refusal.WiderThanAuthor)
		owner, err := clone(w.owner, w.role(authz.RoleOwner), "Like an owner")
		allows(t, err)
		if authz.PairsOf(owner.Pairs).Permissions() != authz.AllPermissions {
			t.Errorf("the clone of OWNER holds %v", owner.Pairs)
		}
		kingmaker := w.custom("Kingmaker", []*ent.Role{w.role(authz.RoleOwner)}, at(authz.ScopeAccount, authz.AnalyticsView)...)
		_, err = clone(w.administrator, kingmaker, "Kingmaker 2")
		refuses(t, err, refusal.ForbiddenCode, refusal.MayNotGive)

		_, err = clone(w.owner, w.role(authz.RoleAgent), "like agent")
		refuses(t, err, refusal.ConflictCode, refusal.NameTaken)
		_, err = clone(w.owner, w.role(authz.RoleAgent), "")
		refuses(t, err, refusal.BadUserInput, "")
		_, err = clone(w.supervisor, w.role(authz.RoleAgent), "Mine")
		lacks(t, err, authz.RolesManage)
		_, err = clone(w.supervisor, kingmaker, "Mine")
		refuses(t, err, refusal.NotFoundCode, "")
		w.set(func(u *ent.AccountUpdateOne) { u.SetCustomRolesEnabled(false) })
		_, err = clone(w.owner, w.role(authz.RoleAgent), "Off")
		refuses(t, err, refusal.ConflictCode, refusal.CustomRolesOff)
		w.intact()
	})
}
