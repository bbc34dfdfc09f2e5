package directory_test

import (
	"errors"
	"testing"

	"canopy/authz"
	"canopy/directory"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
)

// TestLimitsNameThePermissionThatTheyAreAbout: also those on giving access, and none that tells what somebody else holds
// to who may not see it.
func TestLimitsNameThePermissionThatTheyAreAbout(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		helpers := w.custom("Helpers", nil, append(at(authz.ScopeAccount, authz.UsersView, authz.UsersEdit, authz.RolesAssign), at(authz.ScopeSubtree, authz.GroupsMove)...)...)
		helper := w.user("Hal Helper", w.north)
		w.grant(helper, helpers, nil)
		custom := w.custom("Reports", nil, at(authz.ScopeAccount, authz.AnalyticsView)...)
		w.grant(w.administrator, w.custom("Mover", nil, at(authz.ScopeSubtree, authz.ContactsView)...), w.north)

		_, own := w.s.GrantRole(w.as(w.owner), directory.GrantRole{UserID: w.owner.ID, RoleID: custom.ID})
		_, mayNot := w.s.GrantRole(w.as(w.administrator), directory.GrantRole{UserID: w.agent.ID, RoleID: w.role(authz.RoleOwner).ID})
		_, builtIn := w.s.UpdateRole(w.as(w.owner), directory.UpdateRole{RoleID: w.role(authz.RoleAgent).ID, Name: ptr("x")})
		_, wider := w.s.CreateRole(w.as(w.administrator), directory.CreateRole{Name: "Wide", Pairs: at(authz.ScopeAccount, authz.UsersDelete)})
		_, rank := w.s.RevokeRole(w.as(w.administrator), directory.RevokeRole{GrantID: w.grantOf(w.owner).ID})
		_, blind := w.s.UpdateUser(w.as(helper), directory.UpdateUser{UserID: w.owner.ID, Email: ptr("other@acacia.example")})
		_, gains := w.s.MoveGroup(w.as(w.administrator), directory.MoveGroup{GroupID: w.south.ID, ParentID: w.north.ID})
		for _, c := range []struct {
			err        error
			reason     refusal.Reason
			permission authz.Permission
		}{
			{own, refusal.OwnAccess, authz.RolesAssign},
			{mayNot, refusal.MayNotGive, authz.RolesAssign},
			{builtIn, refusal.BuiltInRole, authz.RolesManage},
			{wider, refusal.WiderThanAuthor, authz.UsersDelete},
			{rank, refusal.Rank, authz.ConversationsView},
			{blind, refusal.Rank, authz.RolesAssign},
			{gains, refusal.GainsAccess, authz.ContactsView},
		} {
			refuses(t, c.err, refusal.ForbiddenCode, c.reason)
			var r *refusal.Refusal
			if errors.As(c.err, &r) && r.Permission != c.permission.String() {
				t.Errorf("%s names %s, want %s", c.reason, r.Permission, c.permission)
			}
		}
	})
}

// TestExplainAccessNeedsAViewerAndAPermission, also when another caller than the API forgets to ask.
func TestExplainAccessNeedsAViewerAndAPermission(t *testing.T) {
	w := newWorld(t, testdb.SQLite(t))
	in := directory.ExplainAccess{UserID: w.agent.ID, Permission: authz.GroupsMove, At: w.now()}
	_, err := w.s.ExplainAccess(t.Context(), in)
	refuses(t, err, refusal.Unauthenticated, "")
	_, err = w.s.ExplainAccess(w.as(w.supervisor), in)
	lacks(t, err, authz.AccessExplain)
	_, err = w.s.ExplainAccess(w.as(w.administrator), in)
	allows(t, err)
	_, err = w.s.ExplainAccess(w.as(w.agent), in)
	allows(t, err)
}
