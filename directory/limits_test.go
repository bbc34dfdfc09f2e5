package directory_test

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
)

func at(s authz.Scope, permissions ...authz.Permission) []authz.Pair {
	var pairs []authz.Pair
	for _, p := range permissions {
		pairs = append(pairs, authz.Pair{Permission: p, Scope: s})
	}
	return pairs
}

func TestLimit_NobodyChangesTheirOwnGrants(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		second := w.user("Otto Owner", w.root, authz.RoleOwner)
		for _, who := range []*ent.User{w.owner, second, w.administrator} {
			ctx := w.as(who)
			_, err := w.s.GrantRole(ctx, directory.GrantRole{UserID: who.ID, RoleID: w.role(authz.RoleAgent).ID})
			refuses(t, err, refusal.ForbiddenCode, refusal.OwnAccess)
			_, err = w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(who).ID})
			refuses(t, err, refusal.ForbiddenCode, refusal.OwnAccess)
			_, err = w.s.MoveUser(ctx, directory.MoveUser{UserID: who.ID, HomeGroupID: w.north.ID})
			refuses(t, err, refusal.ForbiddenCode, refusal.OwnAccess)
			_, err = w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: who.ID, Handover: directory.HandoverToQueue})
			refuses(t, err, refusal.ForbiddenCode, refusal.OwnAccess)
		}
	})
}

func TestLimit_NobodyChangesACustomRoleThatTheyHold(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		held := w.custom("Reports", nil, at(authz.ScopeAccount, authz.AnalyticsView)...)
		w.grant(w.owner, held, nil)
		_, err := w.s.UpdateRole(w.as(w.owner), directory.UpdateRole{RoleID: held.ID, Name: ptr("Numbers")})
		refuses(t, err, refusal.ForbiddenCode, refusal.OwnAccess)
		err = w.s.DeleteRole(w.as(w.owner), directory.DeleteRole{RoleID: held.ID, SuccessorID: ptr(w.role(authz.RoleAgent).ID)})
		refuses(t, err, refusal.ForbiddenCode, refusal.OwnAccess)

		coming := w.custom("Later", nil, at(authz.ScopeAccount, authz.AnalyticsView)...)
		_, err = w.s.GrantRole(w.as(w.owner), directory.GrantRole{UserID: w.administrator.ID, RoleID: coming.ID, ValidFrom: ptr(w.start.Add(time.Hour))})
		allows(t, err)
		_, err = w.s.UpdateRole(w.as(w.administrator), directory.UpdateRole{RoleID: coming.ID, Name: ptr("Mine")})
		refuses(t, err, refusal.ForbiddenCode, refusal.OwnAccess)
	})
}

func TestLimit_EachRoleListsWhatItsHoldersMayGive(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		give := func(by *ent.User, key string) error {
			_, err := w.s.GrantRole(w.as(by), directory.GrantRole{UserID: w.user("New "+by.Name+key, w.north).ID, RoleID: w.role(key).ID})
			return err
		}
		for _, r := range authz.BuiltInRoles() {
			allows(t, give(w.owner, r.Key))
			if r.Key == authz.RoleOwner {
				refuses(t, give(w.administrator, r.Key), refusal.ForbiddenCode, refusal.MayNotGive)
			} else {
				allows(t, give(w.administrator, r.Key))
			}
		}

		// Somebody who hires within one branch, and gives AGENT and nothing else.
		hiring := w.custom("Hiring", []*ent.Role{w.role(authz.RoleAgent)},
			at(authz.ScopeSubtree, authz.UsersView, authz.UsersInvite, authz.RolesAssign, authz.GroupsView)...)
		hirer := w.user("Hedy Hirer", w.north)
		w.grant(hirer, hiring, nil)
		allows(t, give(hirer, authz.RoleAgent))
		refuses(t, give(hirer, authz.RoleBillingManager), refusal.ForbiddenCode, refusal.MayNotGive)
		invite := func(home *ent.Group, key string) error {
			_, err := w.s.InviteUser(w.as(hirer), directory.InviteUser{Name: "I", Email: key + home.Name + "@x.example",
				HomeGroupID: home.ID, RoleIDs: []int64{w.role(key).ID}})
			return err
		}
		allows(t, invite(w.harbour, authz.RoleAgent))
		refuses(t, invite(w.harbour, authz.RoleDeveloper), refusal.ForbiddenCode, refusal.MayNotGive)
		// Out of the reach of their ROLES_ASSIGN: another branch is not even visible, a fixed group above neither.
		_, err := w.s.GrantRole(w.as(hirer), directory.GrantRole{UserID: w.beside.ID, RoleID: w.role(authz.RoleAgent).ID})
		refuses(t, err, refusal.NotFoundCode, "")
		w.grant(hirer, w.role(authz.RoleDashboardAdministrator), w.root) // sees all groups, and may assign in the north only
		_, err = w.s.GrantRole(w.as(hirer), directory.GrantRole{UserID: w.supervisor.ID, RoleID: w.role(authz.RoleAgent).ID, GroupID: ptr(w.south.ID)})
		lacks(t, err, authz.RolesAssign)
		_, err = w.s.GrantRole(w.as(hirer), directory.GrantRole{UserID: w.supervisor.ID, RoleID: w.role(authz.RoleAgent).ID, GroupID: ptr(w.station.ID)})
		allows(t, err)
		// At the user, too, though the group of the grant is one where they may.
		_, err = w.s.GrantRole(w.as(hirer), directory.GrantRole{UserID: w.beside.ID, RoleID: w.role(authz.RoleAgent).ID, GroupID: ptr(w.station.ID)})
		refuses(t, err, refusal.NotFoundCode, "")
		w.grant(hirer, w.custom("Reader", nil, at(authz.ScopeAccount, authz.UsersView, authz.RolesView)...), nil)
		_, err = w.s.GrantRole(w.as(hirer), directory.GrantRole{UserID: w.beside.ID, RoleID: w.role(authz.RoleAgent).ID, GroupID: ptr(w.station.ID)})
		lacks(t, err, authz.RolesAssign)
		_, err = w.s.RevokeRole(w.as(hirer), directory.RevokeRole{GrantID: w.grantOf(w.beside).ID})
		lacks(t, err, authz.RolesAssign)
		for _, by := range []*ent.User{w.supervisor, w.agent} { // built-in roles that give none
			_, err := w.s.GrantRole(w.as(by), directory.GrantRole{UserID: by.ID, RoleID: w.role(authz.RoleAgent).ID})
			lacks(t, err, authz.RolesAssign)
		}
	})
}

func TestLimit_AdministratorsGiveCustomRolesWhosePairsTheyMayGive(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		covered := w.custom("Desk lead", nil, append(at(authz.ScopeSubtree, authz.ConversationsView), at(authz.ScopeAccount, authz.InvoicesView)...)...)
		beyond := w.custom("Importer", nil, at(authz.ScopeSubtree, authz.ContactsImport, authz.ContactsView)...)
		wider := w.custom("All talk", nil, at(authz.ScopeAccount, authz.ConversationsView)...)
		listing := w.custom("Kingmaker", []*ent.Role{w.role(authz.RoleOwner)}, at(authz.ScopeAccount, authz.RolesAssign, authz.UsersView)...)
		through := w.custom("Kingmaker's maker", []*ent.Role{listing}, at(authz.ScopeAccount, authz.RolesAssign, authz.UsersView)...)
		for r, may := range map[*ent.Role]bool{covered: true, beyond: false, wider: false, listing: false, through: false} {
			_, err := w.s.GrantRole(w.as(w.administrator), directory.GrantRole{UserID: w.agent.ID, RoleID: r.ID})
			if may {
				allows(t, err)
			} else {
				refuses(t, err, refusal.ForbiddenCode, refusal.MayNotGive)
			}
			_, err = w.s.GrantRole(w.as(w.owner), directory.GrantRole{UserID: w.colleague.ID, RoleID: r.ID})
			allows(t, err)
		}
	})
}

func TestLimit_CustomRolesHoldNoMoreThanTheirAuthorMayGive(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		create := func(by *ent.User, name string, mayGive []int64, pairs ...authz.Pair) error {
			_, err := w.s.CreateRole(w.as(by), directory.CreateRole{Name: name, Pairs: pairs, MayGive: mayGive})
			return err
		}
		allows(t, create(w.owner, "Importer", []int64{w.role(authz.RoleOwner).ID}, at(authz.ScopeAccount, authz.ContactsImport, authz.ContactsView)...))
		allows(t, create(w.administrator, "Lead", []int64{w.role(authz.RoleAgent).ID}, at(authz.ScopeSubtree, authz.ConversationsView, authz.ConversationsClose)...))
		refuses(t, create(w.administrator, "Importer 2", nil, at(authz.ScopeSubtree, authz.ContactsImport, authz.ContactsView)...), refusal.ForbiddenCode, refusal.WiderThanAuthor)
		refuses(t, create(w.administrator, "All talk", nil, at(authz.ScopeAccount, authz.ConversationsView)...), refusal.ForbiddenCode, refusal.WiderThanAuthor)
		refuses(t, create(w.administrator, "Kingmaker", []int64{w.role(authz.RoleOwner).ID}, at(authz.ScopeAccount, authz.AnalyticsView)...), refusal.ForbiddenCode, refusal.MayNotGive)

		// Without ROLES_ASSIGN nobody may give anything, so there is nothing to make a role of.
		author := w.user("Art Author", w.root)
		w.grant(author, w.custom("Author", []*ent.Role{w.role(authz.RoleAgent)}, at(authz.ScopeAccount, authz.RolesView, authz.RolesManage)...), nil)
		refuses(t, create(author, "Queue reader", nil, at(authz.ScopeQueue, authz.QueueView)...), refusal.ForbiddenCode, refusal.WiderThanAuthor)
		w.grant(author, w.custom("Assigner", nil, at(authz.ScopeAccount, authz.UsersView, authz.RolesAssign)...), nil)
		allows(t, create(author, "Queue reader", nil, at(authz.ScopeQueue, authz.QueueView)...))

		// Whoever changes a role is its author now: neither may they widen it, nor touch one that was wider before.
		narrow := w.custom("Narrow", nil, at(authz.ScopeSubtree, authz.AnalyticsView)...)
		_, err := w.s.UpdateRole(w.as(w.administrator), directory.UpdateRole{RoleID: narrow.ID, Pairs: at(authz.ScopeAccount, authz.ContactsView)})
		refuses(t, err, refusal.ForbiddenCode, refusal.WiderThanAuthor)
		wide := w.custom("Wide", nil, at(authz.ScopeAccount, authz.ContactsView)...)
		_, err = w.s.UpdateRole(w.as(w.administrator), directory.UpdateRole{RoleID: wide.ID, Pairs: at(authz.ScopeAccount, authz.AnalyticsView)})
		refuses(t, err, refusal.ForbiddenCode, refusal.WiderThanAuthor)
		refuses(t, w.s.DeleteRole(w.as(w.administrator), directory.DeleteRole{RoleID: wide.ID}), refusal.ForbiddenCode, refusal.WiderThanAuthor)
		_, err = w.s.UpdateRole(w.as(w.administrator), directory.UpdateRole{RoleID: narrow.ID, MayGive: []int64{w.role(authz.RoleOwner).ID}})
		refuses(t, err, refusal.ForbiddenCode, refusal.MayNotGive)
		_, err = w.s.UpdateRole(w.as(w.administrator), directory.UpdateRole{RoleID: w.role(authz.RoleAgent).ID, Name: ptr("Consultant")})
		refuses(t, err, refusal.ForbiddenCode, refusal.BuiltInRole)
	})
}

func TestLimit_CustomRolesAreUsefulAndBoundToTheAccountWhereTheyHaveTo(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		for name, c := range map[string]struct {
			pairs []authz.Pair
			ok    bool
		}{
			"nothing":                    {nil, false},
			"reply without view":         {at(authz.ScopeAssigned, authz.ConversationsReply), false},
			"reply with narrower view":   {append(at(authz.ScopeTeam, authz.ConversationsReply), at(authz.ScopeAssigned, authz.ConversationsView)...), false},
			"reply with wider view":      {append(at(authz.ScopeAssigned, authz.ConversationsReply), at(authz.ScopeTeam, authz.ConversationsView)...), true},
			"settings at a branch":       {at(authz.ScopeSubtree, authz.SettingsView), false},
			"settings at the account":    {at(authz.ScopeAccount, authz.SettingsView), true},
			"audit export without audit": {at(authz.ScopeAccount, authz.AuditExport), false},
		} {
			_, err := w.s.CreateRole(w.as(w.owner), directory.CreateRole{Name: name, Pairs: c.pairs})
			if c.ok {
				allows(t, err)
			} else {
				refuses(t, err, refusal.BadUserInput, "")
			}
		}
	})
}

func TestLimit_Rank(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		second := w.user("Otto Owner", w.root, authz.RoleOwner)
		// The rank of somebody who is to become an owner, and of one who was deactivated, is that of an owner.
		coming := w.user("Tom Tomorrow", w.root)
		_, err := w.s.GrantRole(w.as(w.owner), directory.GrantRole{UserID: coming.ID, RoleID: w.role(authz.RoleOwner).ID, ValidFrom: ptr(w.start.Add(day))})
		allows(t, err)
		left := w.user("Lea Left", w.root, authz.RoleOwner)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.User.UpdateOneID(left.ID).SetStatus(user.StatusDEACTIVATED).Exec(ctx)
		})
		ctx := w.as(w.administrator)
		for _, who := range []*ent.User{second, coming, left} {
			_, err := w.s.UpdateUser(ctx, directory.UpdateUser{UserID: who.ID, Email: ptr("mine@acacia.example")})
			refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
			_, err = w.s.ResetPassword(ctx, directory.ResetPassword{UserID: who.ID})
			refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
			_, err = w.s.MoveUser(ctx, directory.MoveUser{UserID: who.ID, HomeGroupID: w.north.ID})
			refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
			_, err = w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: who.ID, Handover: directory.HandoverToQueue})
			refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
			_, err = w.s.ReactivateUser(ctx, directory.ReactivateUser{UserID: who.ID})
			refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
			_, err = w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(who).ID})
			refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
		}
		fixed := w.group("Boardroom", w.root)
		w.grant(w.user("Fix Fixed", w.root), w.role(authz.RoleOwner), fixed)
		_, err = w.s.DeleteGroup(ctx, directory.DeleteGroup{GroupID: fixed.ID})
		refuses(t, err, refusal.ForbiddenCode, refusal.Rank)

		// A role is not emptied, or deleted in favour of one that is worth less, under somebody who holds more besides.
		reports := w.custom("Reports", []*ent.Role{w.role(authz.RoleAgent)}, at(authz.ScopeAccount, authz.AnalyticsView, authz.GroupsView)...)
		w.grant(w.agent, reports, nil)
		narrow := func(name string) error {
			_, err := w.s.UpdateRole(w.as(w.administrator), directory.UpdateRole{RoleID: reports.ID, Name: &name, Pairs: at(authz.ScopeAccount, authz.AnalyticsView)})
			return err
		}
		allows(t, narrow("Numbers"))
		_, err = w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: reports.ID, Pairs: at(authz.ScopeAccount, authz.AnalyticsView, authz.GroupsView)})
		allows(t, err)
		w.grant(second, reports, nil)
		refuses(t, narrow("Figures"), refusal.ForbiddenCode, refusal.Rank)
		_, err = w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: reports.ID, MayGive: []int64{}})
		refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
		refuses(t, w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: reports.ID, SuccessorID: ptr(w.role(authz.RoleAgent).ID)}), refusal.ForbiddenCode, refusal.Rank)
		_, err = w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: reports.ID, Name: ptr("Figures"), Pairs: at(authz.ScopeAccount, authz.AnalyticsView, authz.GroupsView, authz.DashboardsView)})
		allows(t, err) // nothing is taken from anybody
		_, err = w.s.UpdateRole(w.as(w.owner), directory.UpdateRole{RoleID: reports.ID, Pairs: at(authz.ScopeAccount, authz.AnalyticsView)})
		allows(t, err)
		allows(t, w.s.DeleteRole(w.as(w.owner), directory.DeleteRole{RoleID: reports.ID, SuccessorID: ptr(w.role(authz.RoleAgent).ID)}))

		deleter := w.custom("Eraser", nil, at(authz.ScopeAccount, authz.UsersView, authz.UsersDelete)...)
		w.grant(w.administrator, deleter, nil)
		refuses(t, w.s.DeleteUser(w.as(w.administrator), directory.DeleteUser{UserID: left.ID}), refusal.ForbiddenCode, refusal.Rank)

		// A permission that is held, or may be given, in one branch does not outrank the same one elsewhere: taking over
		// the user would take the viewer there.
		manager := w.custom("Branch Manager", []*ent.Role{w.role(authz.RoleAgent)}, at(authz.ScopeSubtree,
			authz.GroupsView, authz.UsersView, authz.UsersEdit, authz.UsersDeactivate, authz.RolesAssign)...)
		local := w.user("Max Manager", w.north)
		w.grant(local, manager, nil)
		private := w.wall(w.group("Private", w.north))
		both := w.user("Bea Both", w.north, authz.RoleAgent)
		_, err = w.s.ResetPassword(w.as(local), directory.ResetPassword{UserID: both.ID})
		allows(t, err)
		w.grant(both, w.role(authz.RoleAgent), private)
		_, err = w.s.ResetPassword(w.as(local), directory.ResetPassword{UserID: both.ID})
		refuses(t, err, refusal.ForbiddenCode, refusal.Rank)
		wide := w.user("Wim Wide", w.north)
		w.grant(wide, w.custom("Reader of all", nil, at(authz.ScopeAccount, authz.ConversationsView)...), nil)
		_, err = w.s.ResetPassword(ctx, directory.ResetPassword{UserID: wide.ID})
		refuses(t, err, refusal.ForbiddenCode, refusal.Rank)

		// What they may give, they outrank, though they do not hold it.
		_, err = w.s.ResetPassword(ctx, directory.ResetPassword{UserID: w.agent.ID})
		allows(t, err)
		_, err = w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(w.supervisor).ID})
		allows(t, err)
	})
}

const day = 24 * time.Hour

func TestLimit_CustomRolesOff(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		r := w.custom("Reports", nil, at(authz.ScopeAccount, authz.AnalyticsView)...)
		other := w.custom("Numbers", nil, at(authz.ScopeAccount, authz.AnalyticsView)...)
		w.grant(w.agent, r, nil)
		_, err := w.s.UpdateAccount(w.as(w.owner), directory.UpdateAccount{CustomRolesEnabled: ptr(false)})
		allows(t, err)

		ctx := w.as(w.owner)
		_, err = w.s.CreateRole(ctx, directory.CreateRole{Name: "More", Pairs: at(authz.ScopeAccount, authz.AnalyticsView)})
		refuses(t, err, refusal.ConflictCode, refusal.CustomRolesOff)
		_, err = w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: r.ID, Name: ptr("Less")})
		refuses(t, err, refusal.ConflictCode, refusal.CustomRolesOff)
		_, err = w.s.GrantRole(ctx, directory.GrantRole{UserID: w.colleague.ID, RoleID: r.ID})
		refuses(t, err, refusal.ConflictCode, refusal.CustomRolesOff)
		_, err = w.s.InviteUser(ctx, directory.InviteUser{Name: "N", Email: "n@acacia.example", HomeGroupID: w.north.ID, RoleIDs: []int64{r.ID}})
		refuses(t, err, refusal.ConflictCode, refusal.CustomRolesOff)
		refuses(t, w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: r.ID, SuccessorID: &other.ID}), refusal.ConflictCode, refusal.CustomRolesOff)
		if authz.FromContext(w.as(w.agent)).CanAccount(authz.AnalyticsView) {
			t.Error("a custom role gives something while custom roles are off")
		}
		// Taking them away is not in the way.
		allows(t, w.s.DeleteRole(ctx, directory.DeleteRole{RoleID: r.ID, SuccessorID: ptr(w.role(authz.RoleAgent).ID)}))

		// A custom role lists nothing either while it is off.
		hiring := w.custom("Hiring", []*ent.Role{w.role(authz.RoleOwner)}, at(authz.ScopeAccount, authz.RolesAssign, authz.UsersView)...)
		w.grant(w.administrator, hiring, nil)
		_, err = w.s.GrantRole(w.as(w.administrator), directory.GrantRole{UserID: w.agent.ID, RoleID: w.role(authz.RoleOwner).ID})
		refuses(t, err, refusal.ForbiddenCode, refusal.MayNotGive)
	})
}

func TestLimit_LastOwner(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.set(func(u *ent.AccountUpdateOne) { u.ClearPrimaryOwnerID() }) // so that this guard is not the one that speaks
		// An owner with an end, one to come and one who is not active do not count.
		acting := w.user("Ann Acting", w.root)
		w.grantUntil(acting, w.role(authz.RoleOwner), nil, w.start.Add(day))
		w.grant(w.user("Fay Fixed", w.root), w.role(authz.RoleAgent), nil)
		ctx := w.as(acting)
		_, err := w.s.GrantRole(ctx, directory.GrantRole{UserID: w.agent.ID, RoleID: w.role(authz.RoleOwner).ID, ValidFrom: ptr(w.start.Add(day))})
		allows(t, err)
		_, err = w.s.InviteUser(ctx, directory.InviteUser{Name: "Ivo", Email: "ivo@acacia.example", HomeGroupID: w.root.ID, RoleIDs: []int64{w.role(authz.RoleOwner).ID}})
		allows(t, err)

		_, err = w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(w.owner).ID})
		refuses(t, err, refusal.ConflictCode, refusal.LastOwner)
		_, err = w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: w.owner.ID, Handover: directory.HandoverToQueue})
		refuses(t, err, refusal.ConflictCode, refusal.LastOwner)
		if w.handover.calls != 0 {
			t.Error("contacts were handed over for somebody who stays")
		}

		second := w.user("Otto Owner", w.root, authz.RoleOwner)
		_, err = w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: w.owner.ID, Handover: directory.HandoverToQueue})
		allows(t, err)
		_, err = w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(second).ID})
		refuses(t, err, refusal.ConflictCode, refusal.LastOwner)

		// Deleting the group to which the last owner's grant is fixed is no way around it.
		fixed := w.group("Boardroom", w.root)
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			_, err := tx.RoleGrant.Delete().Where(rolegrant.UserID(second.ID)).Exec(ctx)
			return err
		})
		w.grant(second, w.role(authz.RoleOwner), fixed)
		_, err = w.s.DeleteGroup(ctx, directory.DeleteGroup{GroupID: fixed.ID})
		refuses(t, err, refusal.ConflictCode, refusal.LastOwner)
	})
}

func TestLimit_LastOwner_TwoDemoteEachOtherAtOnce(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		w.set(func(u *ent.AccountUpdateOne) { u.ClearPrimaryOwnerID() })
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.User.UpdateOneID(w.owner.ID).SetStatus(user.StatusDEACTIVATED).Exec(ctx)
		})
		for round := range 3 {
			name := string(rune('A' + round))
			meet := meeting(2, 400*time.Millisecond)
			s := &directory.Service{DB: db, Rand: rand.Reader, MaxDepth: 6, Handover: w.handover,
				Now: func() time.Time { meet(); return w.now() }}
			pair := []*ent.User{w.user("One "+name, w.root, authz.RoleOwner), w.user("Two "+name, w.root, authz.RoleOwner)}
			contexts := []context.Context{w.as(pair[0]), w.as(pair[1])}
			grants := []int64{w.grantOf(pair[1]).ID, w.grantOf(pair[0]).ID}
			var errs [2]error
			atOnce(2, func(i int) {
				if round%2 == 0 {
					_, errs[i] = s.RevokeRole(contexts[i], directory.RevokeRole{GrantID: grants[i]})
				} else {
					_, errs[i] = s.DeactivateUser(contexts[i], directory.DeactivateUser{UserID: pair[1-i].ID, Handover: directory.HandoverToQueue})
				}
			})
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Errorf("round %d: want exactly one to win: %v, %v", round, errs[0], errs[1])
			}
			w.write(func(ctx context.Context, tx *ent.Tx) error { // the winner leaves the field
				return tx.User.Update().Where(user.IDIn(pair[0].ID, pair[1].ID)).SetStatus(user.StatusDEACTIVATED).Exec(ctx)
			})
		}
	})
}

// meeting returns a function that waits until n have called it, or so long: then somebody keeps the others from
// getting there, which is what a lock is for.
func meeting(n int32, patience time.Duration) func() {
	var arrived atomic.Int32
	var once sync.Once
	met := make(chan struct{})
	return func() {
		if arrived.Add(1) == n {
			once.Do(func() { close(met) })
		}
		select {
		case <-met:
		case <-time.After(patience):
			once.Do(func() { close(met) })
		}
	}
}

// atOnce runs fn n times at the same time, as far as there are processors, and waits for all.
func atOnce(n int, fn func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			fn(i)
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func TestLimit_PrimaryOwner(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		second := w.user("Otto Owner", w.root, authz.RoleOwner)
		ctx := w.as(second)
		_, err := w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(w.owner).ID})
		refuses(t, err, refusal.ConflictCode, refusal.PrimaryOwner)
		_, err = w.s.DeactivateUser(ctx, directory.DeactivateUser{UserID: w.owner.ID, Handover: directory.HandoverToQueue})
		refuses(t, err, refusal.ConflictCode, refusal.PrimaryOwner)

		// The primary owner alone hands that place on, to an active owner for good.
		_, err = w.s.TransferOwnership(ctx, directory.TransferOwnership{UserID: second.ID})
		lacks(t, err, authz.OwnershipTransfer)
		_, err = w.s.DeleteAccount(ctx, directory.DeleteAccount{ConfirmName: w.account.Name})
		lacks(t, err, authz.AccountDelete)
		_, err = w.s.TransferOwnership(w.as(w.administrator), directory.TransferOwnership{UserID: second.ID})
		lacks(t, err, authz.OwnershipTransfer)
		acting := w.user("Ann Acting", w.root)
		w.grantUntil(acting, w.role(authz.RoleOwner), nil, w.start.Add(day))
		for _, who := range []*ent.User{acting, w.administrator} {
			_, err = w.s.TransferOwnership(w.as(w.owner), directory.TransferOwnership{UserID: who.ID})
			refuses(t, err, refusal.ConflictCode, refusal.PrimaryOwner)
		}
		_, err = w.s.TransferOwnership(w.as(w.owner), directory.TransferOwnership{UserID: second.ID})
		allows(t, err)
		_, err = w.s.RevokeRole(w.as(second), directory.RevokeRole{GrantID: w.grantOf(w.owner).ID})
		allows(t, err)
	})
}

func TestLimit_PrivilegedChangesCarryAReason(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		_, err := w.s.UpdateAccount(w.as(w.owner), directory.UpdateAccount{ReasonRequired: ptr(true)})
		allows(t, err)
		r := w.custom("Reports", nil, at(authz.ScopeAccount, authz.AnalyticsView)...)
		ctx := w.as(w.owner)
		for name, change := range map[string]func(reason string) error{
			"grant": func(why string) error {
				_, err := w.s.GrantRole(ctx, directory.GrantRole{UserID: w.agent.ID, RoleID: r.ID, Reason: why})
				return err
			},
			"revoke": func(why string) error {
				_, err := w.s.RevokeRole(ctx, directory.RevokeRole{GrantID: w.grantOf(w.supervisor).ID, Reason: why})
				return err
			},
			"role edit": func(why string) error {
				_, err := w.s.UpdateRole(ctx, directory.UpdateRole{RoleID: r.ID, Name: ptr("Numbers"), Reason: why})
				return err
			},
			"move of a group": func(why string) error {
				_, err := w.s.MoveGroup(ctx, directory.MoveGroup{GroupID: w.station.ID, ParentID: w.south.ID, Reason: why})
				return err
			},
			"move of a user": func(why string) error {
				_, err := w.s.MoveUser(ctx, directory.MoveUser{UserID: w.colleague.ID, HomeGroupID: w.south.ID, Reason: why})
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				_, before := w.last()
				refuses(t, change(" \n"), refusal.BadUserInput, refusal.ReasonRequired)
				if _, after := w.last(); after != before {
					t.Error("a refused change was recorded")
				}
				allows(t, change(" because "))
				if e, _ := w.last(); e.Reason != "because" {
					t.Errorf("recorded the reason %q", e.Reason)
				}
			})
		}
	})
}

func TestLimit_AgentSettingsReachOnlyAgents(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		pause := func(by, who *ent.User, paused bool) error {
			_, err := w.s.UpdateAgentSettings(w.as(by), directory.UpdateAgentSettings{AgentID: who.ID, AccessPaused: &paused})
			return err
		}
		both := w.user("Bo Both", w.harbour, authz.RoleAgent, authz.RoleDeveloper)
		coming := w.user("Tom Tomorrow", w.harbour, authz.RoleAgent)
		_, err := w.s.GrantRole(w.as(w.owner), directory.GrantRole{UserID: coming.ID, RoleID: w.role(authz.RoleDeveloper).ID, ValidFrom: ptr(w.start.Add(day))})
		allows(t, err)
		for _, who := range []*ent.User{both, coming} {
			lacks(t, pause(w.supervisor, who, true), authz.AgentSettingsEdit)
			lacks(t, pause(w.owner, who, true), authz.AgentSettingsEdit)
		}
		refuses(t, pause(w.supervisor, w.administrator, true), refusal.NotFoundCode, "") // no agent at all
		refuses(t, pause(w.beside, w.agent, true), refusal.NotFoundCode, "")
		lacks(t, pause(w.colleague, w.agent, true), authz.AgentSettingsEdit)

		allows(t, pause(w.supervisor, w.agent, true))
		_, err = w.s.UpdateViewer(w.as(w.agent), directory.UpdateViewer{Availability: ptr(user.AvailabilityAVAILABLE)})
		refuses(t, err, refusal.Unauthenticated, refusal.AccessPaused)
		// While somebody is paused they stay an agent and nothing else.
		_, err = w.s.GrantRole(w.as(w.owner), directory.GrantRole{UserID: w.agent.ID, RoleID: w.role(authz.RoleDeveloper).ID})
		refuses(t, err, refusal.ConflictCode, refusal.AccessPaused)
		allows(t, pause(w.supervisor, w.agent, false))
		_, err = w.s.UpdateViewer(w.as(w.agent), directory.UpdateViewer{Availability: ptr(user.AvailabilityAVAILABLE)})
		allows(t, err)
	})
}

func TestLimit_MovingGroupsGainsNoAccess(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		// May move groups anywhere, and supervises the north.
		mover := w.user("Mo Mover", w.north)
		w.grant(mover, w.custom("Mover", nil, at(authz.ScopeAccount, authz.GroupsView, authz.GroupsMove)...), nil)
		w.grant(mover, w.role(authz.RoleDashboardAdministrator), nil)
		move := func(by *ent.User, g, to *ent.Group) error {
			_, err := w.s.MoveGroup(w.as(by), directory.MoveGroup{GroupID: g.ID, ParentID: to.ID})
			return err
		}
		refuses(t, move(mover, w.south, w.north), refusal.ForbiddenCode, refusal.GainsAccess)
		w.group("South", w.north) // ruling 16: also when the name is taken there
		refuses(t, move(mover, w.south, w.north), refusal.ForbiddenCode, refusal.GainsAccess)
		allows(t, move(mover, w.harbour, w.station)) // within their reach
		allows(t, move(mover, w.harbour, w.south))   // out of it
		refuses(t, move(mover, w.harbour, w.north), refusal.ForbiddenCode, refusal.GainsAccess)
		allows(t, move(mover, w.vault, w.north)) // behind its own wall all stays as it was
		refuses(t, move(mover, w.safe, w.north), refusal.ForbiddenCode, refusal.GainsAccess)
		allows(t, move(w.owner, w.safe, w.north))

		// An agent's queue reaches upwards: their home goes below a queue that was not theirs.
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			err := tx.Group.UpdateOneID(w.station.ID).SetAssignmentMode(group.AssignmentModeROUND_ROBIN).Exec(ctx)
			if err != nil {
				return err
			}
			return tx.Group.UpdateOneID(w.south.ID).SetAssignmentMode(group.AssignmentModeMANUAL).Exec(ctx)
		})
		climber := w.user("Cy Climber", w.station, authz.RoleAgent)
		w.grant(climber, w.custom("Mover 2", nil, at(authz.ScopeAccount, authz.GroupsView, authz.GroupsMove)...), nil)
		refuses(t, move(climber, w.station, w.south), refusal.ForbiddenCode, refusal.GainsAccess)
		allows(t, move(climber, w.vault, w.south))
		w.intact()

		// What has escalated waits in the queue of whatever is above.
		listener := w.user("Lea Listener", w.root)
		w.grant(listener, w.custom("Mover 3", nil, at(authz.ScopeAccount, authz.GroupsView, authz.GroupsMove)...), nil)
		w.grant(listener, w.custom("Listener", nil, at(authz.ScopeGroup, authz.QueueView)...), w.south)
		leaf, branch := w.group("Leaf", w.root), w.group("Branch", w.root)
		allows(t, move(listener, leaf, branch))
		waiting := w.contact("Wanda", leaf)
		allows(t, move(listener, leaf, w.south)) // one sees none of what waits in it
		allows(t, move(listener, leaf, branch))
		w.write(func(ctx context.Context, tx *ent.Tx) error {
			return tx.Contact.UpdateOneID(waiting.ID).SetEscalatedToID(branch.ID).Exec(ctx)
		})
		refuses(t, move(listener, leaf, w.south), refusal.ForbiddenCode, refusal.GainsAccess)
		allows(t, move(w.owner, leaf, w.south))
		allows(t, move(listener, leaf, branch))
	})
}

func TestLimit_MovingUsersGainsNoAccess(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		// May edit users everywhere, and delete those of the north.
		mover := w.user("Mo Mover", w.root, authz.RoleAgent)
		w.grant(mover, w.custom("Editor", nil, at(authz.ScopeAccount, authz.GroupsView, authz.UsersView, authz.UsersEdit)...), nil)
		w.grant(mover, w.custom("Eraser", nil, at(authz.ScopeSubtree, authz.UsersView, authz.UsersDelete)...), w.north)
		plain := w.user("Pia Plain", w.south)
		move := func(by, who *ent.User, to *ent.Group) error {
			_, err := w.s.MoveUser(w.as(by), directory.MoveUser{UserID: who.ID, HomeGroupID: to.ID})
			return err
		}
		refuses(t, move(mover, plain, w.harbour), refusal.ForbiddenCode, refusal.GainsAccess)
		// That they are an agent at the root means nothing for a user there.
		allows(t, move(mover, plain, w.root))
		allows(t, move(w.administrator, plain, w.harbour))
		allows(t, move(mover, plain, w.south))

	})
}

func TestLimit_MovingUsersTakesTheRightToGiveWhatTravelsAlong(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		move := func(by, who *ent.User, to *ent.Group) error {
			_, err := w.s.MoveUser(w.as(by), directory.MoveUser{UserID: who.ID, HomeGroupID: to.ID})
			return err
		}
		// Outranks agents of the south, and may edit users everywhere; from here on more is added.
		mover := w.user("Mo Mover", w.root, authz.RoleAgent)
		w.grant(mover, w.role(authz.RoleAgent), w.south)
		editing := at(authz.ScopeAccount, authz.GroupsView, authz.UsersView, authz.UsersEdit)
		w.grant(mover, w.custom("Editor", nil, editing...), nil)
		dan := w.user("Dan", w.south, authz.RoleAgent)
		lacks(t, move(mover, dan, w.root), authz.RolesAssign)
		w.grant(mover, w.custom("Assigner here", nil, at(authz.ScopeGroup, authz.UsersView, authz.RolesAssign)...), w.south)
		lacks(t, move(mover, dan, w.root), authz.RolesAssign)
		w.grant(mover, w.custom("Assigner", nil, at(authz.ScopeAccount, authz.UsersView, authz.RolesAssign)...), nil)
		refuses(t, move(mover, dan, w.root), refusal.ForbiddenCode, refusal.MayNotGive)
		fixed := w.user("Fix", w.south)
		w.grant(fixed, w.role(authz.RoleAgent), w.south)
		allows(t, move(mover, fixed, w.root)) // nothing travels along
		w.grant(mover, w.custom("Lists agents", []*ent.Role{w.role(authz.RoleAgent)}, at(authz.ScopeAccount, authz.UsersView)...), nil)
		allows(t, move(mover, dan, w.root))

		// USERS_EDIT is needed at the user and at the new group.
		local := w.user("Lo Local", w.root)
		w.grant(local, w.custom("Reader", nil, at(authz.ScopeAccount, authz.GroupsView, authz.UsersView)...), nil)
		w.grant(local, w.custom("Editor here", nil, at(authz.ScopeSubtree, authz.UsersView, authz.UsersEdit)...), w.north)
		lacks(t, move(local, w.user("Pia", w.south), w.harbour), authz.UsersEdit)
		lacks(t, move(local, w.user("Pim", w.harbour), w.south), authz.UsersEdit)
		allows(t, move(local, w.user("Pit", w.harbour), w.station))
	})
}

func TestLimit_DeletingGroupsGainsNoAccess(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		deleter := w.user("Del Deleter", w.north)
		w.grant(deleter, w.custom("Deleter", nil, at(authz.ScopeAccount, authz.GroupsView, authz.GroupsDelete)...), nil)
		w.grant(deleter, w.role(authz.RoleDashboardAdministrator), nil)
		remove := func(by *ent.User, g, heir *ent.Group) error {
			_, err := w.s.DeleteGroup(w.as(by), directory.DeleteGroup{GroupID: g.ID, SuccessorID: &heir.ID})
			return err
		}
		refuses(t, remove(deleter, w.south, w.north), refusal.ForbiddenCode, refusal.GainsAccess) // Bea's record
		empty := w.group("Empty", w.root)
		allows(t, remove(deleter, empty, w.north)) // nothing in it
		branch := w.group("Branch", w.root)
		w.group("Twig", branch)
		refuses(t, remove(deleter, branch, w.north), refusal.ForbiddenCode, refusal.GainsAccess)
		// Their own home goes, and their grants with it to where they held less.
		w.user("Nils", w.south)
		refuses(t, remove(deleter, w.north, w.south), refusal.ForbiddenCode, refusal.GainsAccess)
		allows(t, remove(w.owner, w.north, w.south))
		w.intact()
	})
}

func TestLimit_OpeningAWallGainsNoAccess(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		above := w.user("Abe Above", w.root, authz.RoleDashboardAdministrator)
		w.grant(above, w.custom("Editor", nil, at(authz.ScopeAccount, authz.GroupsView, authz.GroupsEdit)...), nil)
		open := func(by *ent.User, v group.Visibility) error {
			_, err := w.s.UpdateGroup(w.as(by), directory.UpdateGroup{GroupID: w.vault.ID, Visibility: &v})
			return err
		}
		refuses(t, open(above, group.VisibilityINHERITED), refusal.ForbiddenCode, refusal.GainsAccess)
		allows(t, open(w.administrator, group.VisibilityINHERITED)) // holds it all on the account
		allows(t, open(above, group.VisibilityRESTRICTED))
		allows(t, open(w.owner, group.VisibilityINHERITED))
		w.intact()
	})
}
