package directory_test

import (
	"context"
	"strings"
	"testing"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/grouprequest"
	"canopy/ent/generated/rolegrant"
	"canopy/internal/fold"
	"canopy/internal/optional"
	"canopy/internal/testdb"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"
)

func TestCreateGroup(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		create := func(parent *ent.Group, name string) (*ent.Group, error) {
			c, err := w.s.CreateGroup(w.as(w.owner), directory.CreateGroup{ParentID: parent.ID, Name: name})
			if err != nil {
				return nil, err
			}
			return c.Group, nil
		}
		g, err := create(w.north, "  Air   port ")
		w.must(err)
		if g.Name != "Air port" || g.Depth != 2 || *g.ParentID != w.north.ID {
			t.Errorf("made %+v", g)
		}
		_, err = create(w.north, "Straße Ångström")
		w.must(err)
		for _, taken := range []string{"AIR PORT", "STRASSE ÅNGSTRÖM"} { // as Go folds them, not the database
			_, err = create(w.north, taken)
			refuses(t, err, refusal.ConflictCode, refusal.NameTaken)
		}
		for range 4 { // down to the limit of this world, 6
			g, err = create(g, "Deeper")
			w.must(err)
		}
		_, err = create(g, "Too deep")
		refuses(t, err, refusal.ConflictCode, refusal.GroupTooDeep)
		for _, name := range []string{"", " \t", "\u200b", strings.Repeat("ç", 101), "a\u202eb", "a\x07b", "a\x00b", "\xff"} {
			_, err = create(w.south, name)
			refuses(t, err, refusal.BadUserInput, "")
		}
		_, err = create(w.south, strings.Repeat("ç", 100))
		allows(t, err)
		w.intact()
	})
}

func TestPlanLimitsGroups(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		_, err := w.s.ChangePlan(w.as(w.owner), directory.ChangePlan{Plan: account.PlanSTARTER})
		allows(t, err)
		_, err = w.s.CreateGroup(w.as(w.owner), directory.CreateGroup{ParentID: w.root.ID, Name: "One more"})
		refuses(t, err, refusal.ConflictCode, refusal.PlanLimit)
		// A downgrade deletes nothing, and what is there can be changed.
		_, err = w.s.MoveGroup(w.as(w.owner), directory.MoveGroup{GroupID: w.harbour.ID, ParentID: w.south.ID})
		allows(t, err)
		_, err = w.s.ChangePlan(w.as(w.owner), directory.ChangePlan{Plan: account.PlanPRO})
		allows(t, err)
		_, err = w.s.CreateGroup(w.as(w.owner), directory.CreateGroup{ParentID: w.root.ID, Name: "One more"})
		allows(t, err)
	})
}

func TestGroupsOnRequest(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		operator := context.Background()
		_, err := w.s.SetAccount(operator, directory.SetAccount{Slug: "acacia", GroupCreation: ptr(account.GroupCreationON_REQUEST)})
		w.must(err)
		request := func(name string) *ent.GroupRequest {
			c, err := w.s.CreateGroup(w.as(w.supervisor), directory.CreateGroup{ParentID: w.north.ID, Name: name, Reason: "growth"})
			w.must(err)
			if c.Group != nil || c.Request == nil {
				t.Fatalf("want a request, got %+v", c)
			}
			return c.Request
		}
		airport, depot, late, orphan := request("Airport"), request("Depot"), request("Late"), request("Orphan")
		_, err = w.s.CreateGroup(w.as(w.supervisor), directory.CreateGroup{ParentID: w.north.ID, Name: "Harbour"})
		refuses(t, err, refusal.ConflictCode, refusal.NameTaken)
		pending, err := w.s.PendingGroupRequests(operator)
		w.must(err)
		if len(pending) != 4 || pending[0].Edges.Account.Slug != "acacia" || pending[0].Edges.RequestedBy.ID != w.supervisor.ID {
			t.Errorf("pending are %v", pending)
		}

		g, err := w.s.ApproveGroupRequest(operator, directory.DecideGroupRequest{RequestID: airport.ID, Note: "fine"})
		w.must(err)
		if g.Name != "Airport" || *g.ParentID != w.north.ID {
			t.Errorf("made %+v", g)
		}
		is, err := db.Read.GroupRequest.Get(trusted(), airport.ID)
		w.must(err)
		if is.Status != grouprequest.StatusAPPROVED || is.GroupID == nil || *is.GroupID != g.ID || is.DecidedAt == nil || is.DecisionNote != "fine" {
			t.Errorf("the request is %+v", is)
		}
		_, err = w.s.ApproveGroupRequest(operator, directory.DecideGroupRequest{RequestID: airport.ID})
		refuses(t, err, refusal.ConflictCode, refusal.AlreadyDecided)
		refused, err := w.s.RefuseGroupRequest(operator, directory.DecideGroupRequest{RequestID: depot.ID, Note: "no"})
		w.must(err)
		if refused.Status != grouprequest.StatusREFUSED || refused.DecisionNote != "no" {
			t.Errorf("the request is %+v", refused)
		}

		// What was right when it was requested is checked again.
		w.group("LATE", w.north)
		_, err = w.s.ApproveGroupRequest(operator, directory.DecideGroupRequest{RequestID: late.ID})
		refuses(t, err, refusal.ConflictCode, refusal.NameTaken)
		w.plan(account.PlanSTARTER)
		_, err = w.s.ApproveGroupRequest(operator, directory.DecideGroupRequest{RequestID: orphan.ID})
		refuses(t, err, refusal.ConflictCode, refusal.PlanLimit)
		w.plan(account.PlanPRO)
		_, err = w.s.RevokeRole(w.as(w.owner), directory.RevokeRole{GrantID: w.grantOf(w.supervisor).ID})
		w.must(err)
		_, err = w.s.ApproveGroupRequest(operator, directory.DecideGroupRequest{RequestID: orphan.ID})
		lacks(t, err, authz.GroupsCreate)
		w.intact()
	})
}

func TestMoveGroup(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := w.as(w.owner)
		move := func(g, to *ent.Group) error {
			_, err := w.s.MoveGroup(ctx, directory.MoveGroup{GroupID: g.ID, ParentID: to.ID})
			return err
		}
		refuses(t, move(w.root, w.north), refusal.ConflictCode, refusal.RootGroup)
		refuses(t, move(w.north, w.north), refusal.ConflictCode, refusal.GroupCycle)
		refuses(t, move(w.north, w.harbour), refusal.ConflictCode, refusal.GroupCycle)
		w.group("harbour", w.south)
		refuses(t, move(w.harbour, w.south), refusal.ConflictCode, refusal.NameTaken)
		deep := w.group("5", w.group("4", w.group("3", w.station)))
		refuses(t, move(w.south, deep), refusal.ConflictCode, refusal.GroupTooDeep)

		// Several refusals at once: a bad input comes before a conflict (ruling 16).
		w.set(func(u *ent.AccountUpdateOne) { u.SetReasonRequired(true) })
		refuses(t, move(w.harbour, w.south), refusal.BadUserInput, refusal.ReasonRequired)
		refuses(t, move(w.root, w.north), refusal.BadUserInput, refusal.ReasonRequired)
		w.set(func(u *ent.AccountUpdateOne) { u.SetReasonRequired(false) })

		allows(t, move(w.north, w.south))
		if g := w.fresh(w.harbour); g.Depth != 3 || !strings.HasPrefix(g.Path, w.fresh(w.south).Path) {
			t.Errorf("the harbour is at depth %d, path %q", g.Depth, g.Path)
		}
		allows(t, move(w.north, w.south)) // where it is already
		w.intact()

		// The permission is needed at all three places: two of them are not enough.
		nest := w.group("Nest", w.vault)
		viewing := w.custom("Viewer", nil, at(authz.ScopeAccount, authz.GroupsView)...)
		moving := w.custom("Mover", nil, at(authz.ScopeGroup, authz.GroupsView, authz.GroupsMove)...)
		places := []*ent.Group{nest, w.vault, w.safe} // the group, its parent, the new parent
		for i, missing := range append(places, nil) {
			mover := w.user("Mo "+string(rune('A'+i)), w.root)
			w.grant(mover, viewing, nil)
			for _, g := range places {
				if g != missing {
					w.grant(mover, moving, g)
				}
			}
			_, err := w.s.MoveGroup(w.as(mover), directory.MoveGroup{GroupID: nest.ID, ParentID: w.safe.ID})
			if missing != nil {
				lacks(t, err, authz.GroupsMove)
			} else {
				allows(t, err)
			}
		}
	})
}

// TestTheViewerIsJudgedInsideTheTransaction: what was true when the request began may not be true any more.
func TestTheViewerIsJudgedInsideTheTransaction(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := w.as(w.administrator)
		_, err := w.s.RevokeRole(w.as(w.owner), directory.RevokeRole{GrantID: w.grantOf(w.administrator).ID})
		w.must(err)
		_, err = w.s.CreateGroup(ctx, directory.CreateGroup{ParentID: w.root.ID, Name: "Too late"})
		lacks(t, err, authz.GroupsCreate) // the root is their home
		_, err = w.s.UpdateUser(ctx, directory.UpdateUser{UserID: w.agent.ID, Name: ptr("Too late")})
		refuses(t, err, refusal.NotFoundCode, "")
	})
}

func TestTwoMovesCannotCloseACycle(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := w.as(w.owner)
		for round := range 10 {
			pair := []*ent.Group{w.group("A"+string(rune('a'+round)), w.root), w.group("B"+string(rune('a'+round)), w.root)}
			var errs [2]error
			atOnce(2, func(i int) {
				_, errs[i] = w.s.MoveGroup(ctx, directory.MoveGroup{GroupID: pair[i].ID, ParentID: pair[1-i].ID})
			})
			lost := errs[0]
			if lost == nil {
				lost = errs[1]
			}
			if errs[0] != nil && errs[1] != nil {
				t.Errorf("round %d: nobody won: %v, %v", round, errs[0], errs[1])
			}
			refuses(t, lost, refusal.ConflictCode, refusal.GroupCycle)
		}
		w.intact()
	})
}

func TestDeleteGroup(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		remove := func(g *ent.Group, heir *ent.Group) error {
			in := directory.DeleteGroup{GroupID: g.ID}
			if heir != nil {
				in.SuccessorID = &heir.ID
			}
			_, err := w.s.DeleteGroup(w.as(w.administrator), in)
			return err
		}
		refuses(t, remove(w.root, nil), refusal.ConflictCode, refusal.RootGroup)
		refuses(t, remove(w.root, w.north), refusal.ConflictCode, refusal.RootGroup)
		refuses(t, remove(w.north, nil), refusal.ConflictCode, refusal.GroupNotEmpty)   // children
		refuses(t, remove(w.harbour, nil), refusal.ConflictCode, refusal.GroupNotEmpty) // users
		c := w.contact("Carla", w.safe)
		refuses(t, remove(w.safe, nil), refusal.ConflictCode, refusal.GroupNotEmpty) // contacts
		refuses(t, remove(w.north, w.harbour), refusal.ConflictCode, refusal.GroupCycle)
		refuses(t, remove(w.north, w.north), refusal.ConflictCode, refusal.GroupCycle)
		w.group("station", w.south)
		refuses(t, remove(w.north, w.south), refusal.ConflictCode, refusal.NameTaken)

		deleter := w.user("Del Deleter", w.root)
		w.grant(deleter, w.custom("Viewer", nil, at(authz.ScopeAccount, authz.GroupsView)...), nil)
		w.grant(deleter, w.custom("Deleter", nil, at(authz.ScopeGroup, authz.GroupsView, authz.GroupsDelete)...), w.safe)
		_, err := w.s.DeleteGroup(w.as(deleter), directory.DeleteGroup{GroupID: w.safe.ID, SuccessorID: &w.station.ID})
		lacks(t, err, authz.GroupsDelete)

		w.group("Inner", w.safe)
		fixed := w.grant(w.agent, w.role(authz.RoleDeveloper), w.safe)
		allows(t, remove(w.safe, w.station))
		if e, _ := w.last(); e.Action != "GROUP_DELETED" || !strings.Contains(string(e.After), fixed.GlobalID().String()) {
			t.Errorf("recorded %s %s", e.Action, e.After)
		}
		if n := db.Read.RoleGrant.Query().Where(rolegrant.ID(fixed.ID)).CountX(trusted()); n != 0 {
			t.Error("a grant is fixed to a group that is gone")
		}
		if g := db.Read.Contact.Query().Where(contact.ID(c.ID)).OnlyX(trusted()); g.GroupID != w.station.ID {
			t.Error("the contact was not taken over")
		}
		// Deleting a private group keeps its children private.
		w.group("Attic", w.vault)
		allows(t, remove(w.vault, w.root))
		attic := db.Read.Group.Query().Where(group.Name("Attic")).OnlyX(trusted())
		if attic.Visibility != group.VisibilityRESTRICTED || *attic.ParentID != w.root.ID {
			t.Errorf("the attic is %s", attic.Visibility)
		}
		allows(t, remove(w.harbour, w.station))
		if u := w.reload(w.agent); u.HomeGroupID != w.station.ID {
			t.Error("the agent was not taken over")
		}
		w.intact()
	})
}

// contact inserts a contact that waits in the group.
func (w *world) contact(name string, g *ent.Group) (c *ent.Contact) {
	w.t.Helper()
	w.write(func(ctx context.Context, tx *ent.Tx) (err error) {
		c, err = w.arrives(ctx, tx, name, g)
		return err
	})
	return c
}

func (w *world) arrives(ctx context.Context, tx *ent.Tx, name string, g *ent.Group) (*ent.Contact, error) {
	c, err := tx.Contact.Create().SetAccountID(w.account.ID).SetGroupID(g.ID).SetArrivalGroupID(g.ID).SetName(name).
		SetNameKey(fold.Key(name)).SetSortKey(w.start.UnixMicro()).SetLastActivityAt(w.start).SetWaitingSince(w.start).
		SetCreatedAt(w.start).Save(ctx)
	if err != nil {
		return nil, err
	}
	return c, tree.AddContact(ctx, tx, c.ID)
}

func TestUpdateGroup(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		ctx := w.as(w.administrator)
		g, err := w.s.UpdateGroup(ctx, directory.UpdateGroup{GroupID: w.root.ID, Name: ptr("Acacia")})
		w.must(err)
		if g.Name != "Acacia" {
			t.Errorf("the root is called %q", g.Name)
		}
		_, err = w.s.UpdateGroup(ctx, directory.UpdateGroup{GroupID: w.harbour.ID})
		refuses(t, err, refusal.BadUserInput, "")
		_, err = w.s.UpdateGroup(ctx, directory.UpdateGroup{GroupID: w.harbour.ID, Name: ptr("STATION")})
		refuses(t, err, refusal.ConflictCode, refusal.NameTaken)
		g, err = w.s.UpdateGroup(ctx, directory.UpdateGroup{GroupID: w.harbour.ID, Name: ptr("HARBOUR")})
		w.must(err)
		if g.Name != "HARBOUR" {
			t.Errorf("its own name was taken: %q", g.Name)
		}

		// Whoever raises a wall may go out of sight of what is behind it.
		editor := w.user("Edo Editor", w.north)
		w.grant(editor, w.custom("Editor", nil, at(authz.ScopeSubtree, authz.GroupsView, authz.GroupsEdit)...), nil)
		g, err = w.s.UpdateGroup(w.as(editor), directory.UpdateGroup{GroupID: w.station.ID,
			Name: ptr("Closed"), Visibility: ptr(group.VisibilityRESTRICTED)})
		w.must(err)
		if g.Name != "Closed" || g.Wall != g.Path {
			t.Errorf("the group is %+v", g)
		}
		_, err = w.s.UpdateGroup(w.as(editor), directory.UpdateGroup{GroupID: w.station.ID, Name: ptr("Open")})
		refuses(t, err, refusal.NotFoundCode, "")
		w.intact()
	})
}

func TestUpdateGroupSettings(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db)
		update := func(in directory.UpdateGroupSettings) (*ent.Group, error) {
			in.GroupID = w.harbour.ID
			return w.s.UpdateGroupSettings(w.as(w.supervisor), in)
		}
		g, err := update(directory.UpdateGroupSettings{SharedInbox: optional.To(true), AssignmentMode: optional.To(group.AssignmentModeMANUAL),
			Capacity: optional.To(-1), RadarWindow: optional.To(5), EscalateAfter: optional.To(60), ReassignAfter: optional.To(-1), CloseAfter: optional.To(31536000)})
		w.must(err)
		if !*g.SharedInbox || *g.AssignmentMode != group.AssignmentModeMANUAL || *g.Capacity != -1 || *g.RadarWindow != 5 ||
			*g.EscalateAfter != 60 || *g.ReassignAfter != -1 || *g.CloseAfter != 31536000 {
			t.Errorf("the group says %+v", g)
		}
		g, err = update(directory.UpdateGroupSettings{Capacity: optional.Cleared[int](), SharedInbox: optional.To(false)})
		w.must(err)
		if g.Capacity != nil || *g.SharedInbox || *g.RadarWindow != 5 {
			t.Errorf("the group says %+v", g)
		}
		if e, _ := w.last(); e.Action != "GROUP_SETTINGS_UPDATED" || string(e.Before) != `{"capacity":-1,"sharedInbox":true}` && string(e.Before) != `{"capacity": -1, "sharedInbox": true}` {
			t.Errorf("recorded %s", e.Before)
		}
		for name, in := range map[string]directory.UpdateGroupSettings{
			"nothing":        {},
			"capacity 0":     {Capacity: optional.To(0)},
			"capacity 10001": {Capacity: optional.To(10001)},
			"window -1":      {RadarWindow: optional.To(-1)},
			"window 4":       {RadarWindow: optional.To(4)},
			"window 86401":   {RadarWindow: optional.To(86401)},
			"escalate 59":    {EscalateAfter: optional.To(59)},
			"close too late": {CloseAfter: optional.To(31536001)},
			"no such mode":   {AssignmentMode: optional.To(group.AssignmentMode("DICE"))},
		} {
			_, err := update(in)
			t.Run(name, func(t *testing.T) { refuses(t, err, refusal.BadUserInput, "") })
		}
	})
}
