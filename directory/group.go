package directory

import (
	"context"
	"fmt"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"
)

// CreateGroup is the input of Service.CreateGroup.
type CreateGroup struct {
	ParentID int64
	Name     string
	Reason   string
}

// CreatedGroup holds the group, or the request for it where groups are created ON_REQUEST.
type CreatedGroup struct {
	Group   *ent.Group
	Request *ent.GroupRequest
}

// CreateGroup creates a group below another one, or requests it. A request meets the same checks.
func (s *Service) CreateGroup(ctx context.Context, in CreateGroup) (*CreatedGroup, error) {
	var created *CreatedGroup
	err := s.change(ctx, tree.LockShared, func(ctx context.Context, d *doing) error {
		parent, err := d.group(ctx, in.ParentID)
		if err != nil {
			return err
		}
		name, err := d.mayCreateGroup(rule.PlaceOf(parent), in.Name)
		if err != nil {
			return err
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		if err := s.hasRoomFor(ctx, d, parent, name); err != nil {
			return err
		}
		created = &CreatedGroup{}
		if d.account.GroupCreation == account.GroupCreationON_REQUEST {
			created.Request, err = d.requestGroup(ctx, parent, name, reason)
			return err
		}
		created.Group, err = s.createGroup(ctx, d, parent, name, reason)
		return err
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// mayCreateGroup refuses a group that the viewer may not create there, and returns its name as it is stored.
func (d *doing) mayCreateGroup(parent authz.Place, name string) (string, error) {
	if err := d.may(authz.GroupsCreate, authz.AtGroup(parent), "at the group above"); err != nil {
		return "", err
	}
	return checkName("input.name", name)
}

// hasRoomFor refuses a group that the plan, the depth or a sibling's name does not admit.
func (s *Service) hasRoomFor(ctx context.Context, d *doing, parent *ent.Group, name string) error {
	taken, err := d.namesTaken(ctx, parent.ID, fold.Key(name))
	if err != nil {
		return err
	}
	return s.admitsGroup(d, parent.Depth+1, taken)
}

func (s *Service) admitsGroup(d *doing, depth int, nameTaken bool) error {
	switch {
	case d.account.Plan == account.PlanSTARTER:
		return refusal.Conflict(refusal.PlanLimit,
			"The STARTER plan has one group. Change to PRO to create more; nothing that exists is touched by the plan.")
	case depth > s.MaxDepth:
		return tooDeep(s.MaxDepth)
	case nameTaken:
		return groupNameTaken()
	}
	return nil
}

func (s *Service) createGroup(ctx context.Context, d *doing, parent *ent.Group, name, reason string) (*ent.Group, error) {
	id, err := tree.Create(ctx, d.tx, tree.NewGroup{AccountID: d.account.ID, ParentID: &parent.ID,
		Name: name, NameKey: fold.Key(name), Now: d.at}, s.MaxDepth)
	if err != nil {
		return nil, structural(err, s.MaxDepth)
	}
	if err := d.record(ctx, groupCreated(id, name, parent.ID, reason)); err != nil {
		return nil, err
	}
	return d.anyGroup(ctx, id)
}

func groupCreated(id int64, name string, parentID int64, reason string) audit.Event {
	return audit.Event{Action: "GROUP_CREATED", TargetKind: relay.KindGroup, TargetID: id, Reason: reason,
		After: audit.Fields{"name": name, "parent": groupID(parentID)}}
}

// UpdateGroup is the input of Service.UpdateGroup; what is nil stays.
type UpdateGroup struct {
	GroupID    int64
	Name       *string
	Visibility *group.Visibility
	Reason     string
}

// UpdateGroup renames a group or changes its visibility. Nobody opens a wall for themselves.
func (s *Service) UpdateGroup(ctx context.Context, in UpdateGroup) (*ent.Group, error) {
	var changed *ent.Group
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		g, err := d.group(ctx, in.GroupID)
		if err != nil {
			return err
		}
		if err := d.mayEditGroup(rule.PlaceOf(g)); err != nil {
			return err
		}
		if err := s.setVisibility(ctx, d, g, in.Visibility); err != nil {
			return err
		}
		if in.Name == nil && in.Visibility == nil {
			return nothingToChange()
		}
		name := g.Name
		if in.Name != nil {
			if name, err = checkName("input.name", *in.Name); err != nil {
				return err
			}
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		if err := d.rename(ctx, g, name); err != nil {
			return err
		}
		if changed, err = d.anyGroup(ctx, g.ID); err != nil {
			return err
		}
		return d.record(ctx, groupUpdated(g, changed, reason))
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

func (d *doing) mayEditGroup(at authz.Place) error {
	return d.may(authz.GroupsEdit, authz.AtGroup(at), "at this group")
}

func groupUpdated(was, is *ent.Group, reason string) audit.Event {
	return audit.Event{Action: "GROUP_UPDATED", TargetKind: relay.KindGroup, TargetID: is.ID, Reason: reason,
		Before: audit.Fields{"name": was.Name, "visibility": was.Visibility},
		After:  audit.Fields{"name": is.Name, "visibility": is.Visibility}}
}

// setVisibility comes before the input is looked at, because whether access is gained shows only afterwards.
func (s *Service) setVisibility(ctx context.Context, d *doing, g *ent.Group, to *group.Visibility) error {
	if to == nil || *to == g.Visibility {
		return nil
	}
	before, err := d.holdingsOver(ctx, g)
	if err != nil {
		return err
	}
	if err := tree.SetRestricted(ctx, d.tx, d.account.ID, g.ID, *to == group.VisibilityRESTRICTED); err != nil {
		return structural(err, s.MaxDepth)
	}
	return s.gained(ctx, d, before, nil)
}

// rename writes the name also of a group that has just gone out of the viewer's sight behind its wall.
func (d *doing) rename(ctx context.Context, g *ent.Group, name string) error {
	if name == g.Name {
		return nil
	}
	err := d.tx.Group.UpdateOneID(g.ID).SetName(name).SetNameKey(fold.Key(name)).Exec(authz.Trusted(ctx))
	if nameIsTaken(err) {
		return groupNameTaken()
	}
	if err != nil {
		return fmt.Errorf("directory: renaming group %d: %w", g.ID, err)
	}
	return nil
}

// nameIsTaken says that the database refused a second sibling of the same name.
func nameIsTaken(err error) bool { return store.UniqueViolation(err, "group_sibling_name") }

func groupNameTaken() error {
	return refusal.Conflict(refusal.NameTaken, "Another group there has this name. Choose another name.")
}

// namesTaken says whether a child of the parent has one of the names, also one that the viewer does not see.
func (d *doing) namesTaken(ctx context.Context, parentID int64, keys ...string) (bool, error) {
	taken, err := d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.ParentID(parentID), group.NameKeyIn(keys...)).
		Exist(authz.Trusted(ctx))
	if err != nil {
		return false, fmt.Errorf("directory: looking for a name: %w", err)
	}
	return taken, nil
}

// DeleteGroup is the input of Service.DeleteGroup. A successor that is not nil takes over.
type DeleteGroup struct {
	GroupID     int64
	SuccessorID *int64
	Reason      string
}

// DeleteGroup deletes an empty group, or one whose children, users and contacts go to the successor, which it returns.
// Grants fixed to the group end with it. No assignment method runs.
func (s *Service) DeleteGroup(ctx context.Context, in DeleteGroup) (*ent.Group, error) {
	var successor *ent.Group
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		g, heir, err := d.groupAndHeir(ctx, in)
		if err != nil {
			return err
		}
		// What is in the group decides what the viewer gains, and what subscribers are told.
		if err := tree.LockContents(ctx, d.tx, d.account.ID, g.ID); err != nil {
			return err
		}
		ended, err := d.endGrantsAt(ctx, g)
		if err != nil {
			return err
		}
		left, err := d.estateOf(ctx, g)
		if err != nil {
			return err
		}
		reason, bad := d.reason(in.Reason)
		if err := foremost(s.dissolve(ctx, d, g, heir), bad); err != nil {
			return err
		}
		if len(ended.owners) > 0 {
			if err := d.ownersRemain(ctx, ended.owners...); err != nil {
				return err
			}
		}
		after := audit.Fields{"endedGrants": ended.ids}
		if heir != nil {
			after["successor"] = groupID(heir.ID)
			if successor, err = d.anyGroup(ctx, heir.ID); err != nil {
				return err
			}
			if err := d.publishHeir(ctx, g, successor, left); err != nil {
				return err
			}
		}
		return d.record(ctx, audit.Event{Action: "GROUP_DELETED", TargetKind: relay.KindGroup, TargetID: g.ID, Reason: reason,
			Before: groupFields(g), After: after})
	})
	if err != nil {
		return nil, err
	}
	return successor, nil
}

// groupAndHeir loads the group to delete and its successor, nil when none is named, and checks the permission at both.
func (d *doing) groupAndHeir(ctx context.Context, in DeleteGroup) (g, heir *ent.Group, err error) {
	if g, err = d.group(ctx, in.GroupID); err != nil {
		return nil, nil, err
	}
	if heir, err = d.groupIfNamed(ctx, in.SuccessorID); err != nil {
		return nil, nil, err
	}
	if err := d.may(authz.GroupsDelete, authz.AtGroup(rule.PlaceOf(g)), "at this group"); err != nil {
		return nil, nil, err
	}
	if heir == nil {
		return g, nil, nil
	}
	return g, heir, d.may(authz.GroupsDelete, authz.AtGroup(rule.PlaceOf(heir)), "at the successor")
}

// endedGrants are those that end with a group.
type endedGrants struct {
	ids    []string
	owners []int64 // users who were owners by one of them
}

// endGrantsAt deletes the grants fixed to the group. It refuses to end one that the viewer could not revoke for want
// of rank: deleting a group is no way around that.
func (d *doing) endGrantsAt(ctx context.Context, g *ent.Group) (*endedGrants, error) {
	giving, err := d.giving(ctx)
	if err != nil {
		return nil, err
	}
	live, err := d.grants(ctx, rolegrant.GroupID(g.ID))
	if err != nil {
		return nil, err
	}
	if err := d.rank(ctx, giving, live); err != nil {
		return nil, err
	}
	ended := &endedGrants{ids: []string{}}
	for _, grant := range live {
		ended.ids = append(ended.ids, relay.NewID(relay.KindRoleGrant, grant.ID).String())
		if r := giving.roles[grant.RoleID]; r.Key != nil && *r.Key == authz.RoleOwner {
			ended.owners = append(ended.owners, grant.UserID)
		}
	}
	_, err = d.tx.RoleGrant.Delete().Where(rolegrant.AccountID(d.account.ID), rolegrant.GroupID(g.ID)).Exec(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: ending the grants at group %d: %w", g.ID, err)
	}
	return ended, nil
}

// dissolve takes the group out of the tree.
func (s *Service) dissolve(ctx context.Context, d *doing, g, heir *ent.Group) error {
	if heir == nil {
		return structural(tree.Delete(ctx, d.tx, d.account.ID, g.ID), s.MaxDepth)
	}
	before, err := d.holdingsBeforeDissolving(ctx, g, heir)
	if err != nil {
		return err
	}
	taken, err := d.parkNames(ctx, g, heir, group.ParentID(g.ID))
	if err != nil {
		return err
	}
	if err := tree.Dissolve(ctx, d.tx, d.account.ID, g.ID, heir.ID, s.MaxDepth); err != nil {
		return structural(err, s.MaxDepth)
	}
	if err := s.gained(ctx, d, before, map[int64]int64{g.ID: heir.ID}); err != nil {
		return err
	}
	if err := d.reviews(ctx, heir.ID); err != nil {
		return err
	}
	if taken {
		return refusal.Conflict(refusal.NameTaken,
			"A child of the group has the same name as a child of the successor. Rename one of them first.")
	}
	return nil
}

// holdingsBeforeDissolving remembers what goes to the heir; and, when the viewer is at home in the group, so that their
// grants go there too, also what the heir has already.
func (d *doing) holdingsBeforeDissolving(ctx context.Context, g, heir *ent.Group) (*holdings, error) {
	branches := []*ent.Group{g}
	if d.viewer.Home.GroupID == g.ID {
		branches = append(branches, heir)
	}
	before, err := d.holdingsOver(ctx, branches...)
	if before == nil || err != nil {
		return nil, err
	}
	// Nothing can be gained over a group that is gone, only over what was in it.
	users, err := d.tx.User.Query().Where(user.HomeGroupID(g.ID), user.StatusNEQ(user.StatusDELETED)).Exist(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: looking for users of group %d: %w", g.ID, err)
	}
	contacts, err := d.tx.Contact.Query().Where(contact.GroupID(g.ID)).Exist(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: looking for contacts of group %d: %w", g.ID, err)
	}
	if !users && !contacts {
		delete(before.places, g.ID)
	}
	return before, nil
}

func groupFields(g *ent.Group) audit.Fields {
	f := audit.Fields{"name": g.Name, "visibility": g.Visibility}
	if g.ParentID != nil {
		f["parent"] = groupID(*g.ParentID)
	}
	return f
}
