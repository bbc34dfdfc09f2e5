package demo

import (
	"context"
	"time"

	"canopy/authz"
	"canopy/directory"
	"canopy/ent/generated/group"
	"canopy/ent/generated/role"
	"canopy/internal/optional"
)

// place is a group that was made.
type place struct {
	branch
	id    int64
	above *place
}

// mode is the assignment mode in force at the place.
func (p *place) mode() group.AssignmentMode {
	for ; p != nil; p = p.above {
		if p.settings.mode != nil {
			return *p.settings.mode
		}
	}
	return group.AssignmentModeROUND_ROBIN
}

// reachedFrom says whether the place is the other one or below it with no wall between.
func (p *place) reachedFrom(other *place) bool {
	for ; p != other; p = p.above {
		if p == nil || p.restricted {
			return false
		}
	}
	return true
}

// within says whether the place is in the branch of that name.
func (p *place) within(name string) bool {
	for ; p != nil; p = p.above {
		if p.name == name {
			return true
		}
	}
	return false
}

// place returns the group of that name; "" is the root.
func (s *seeder) place(name string) *place {
	for _, p := range s.places {
		if p.name == name {
			return p
		}
	}
	return s.places[0]
}

// serving lists the places that contacts come to.
func (s *seeder) serving() []*place {
	var list []*place
	for _, p := range s.places {
		if !p.within("Head Office") {
			list = append(list, p)
		}
	}
	return list
}

// found makes the account with its root group and its primary owner.
func (s *seeder) found(ctx context.Context) error {
	first := s.cast[0]
	made, err := s.directory.CreateAccount(ctx, directory.CreateAccount{
		Name: s.name, Slug: s.slug, Plan: s.plan, OwnerName: first.name, OwnerEmail: s.address(first.login),
	})
	if err != nil {
		return err
	}
	s.account = made.Account.ID
	s.users[first.login] = made.Owner.ID
	s.places = []*place{{branch: s.tree, id: made.Root.ID}}
	if err := s.directory.SetPassword(ctx, directory.SetPassword{Token: made.SetupToken, Password: Password}); err != nil {
		return err
	}
	roles, err := s.db.Read.Role.Query().Where(role.AccountID(s.account), role.KeyNotNil()).All(authz.Trusted(ctx))
	if err != nil {
		return err
	}
	for _, r := range roles {
		s.roles[*r.Key] = r.ID
	}
	return nil
}

// plant makes the groups, each with what it sets.
func (s *seeder) plant(ctx context.Context) error {
	ctx, err := s.asOwner(ctx)
	if err != nil {
		return err
	}
	defer s.forget()
	return s.plantBelow(ctx, s.places[0])
}

func (s *seeder) plantBelow(ctx context.Context, p *place) error {
	if err := s.set(ctx, p); err != nil {
		return err
	}
	for _, b := range p.below {
		s.pass(20 * time.Minute)
		made, err := s.directory.CreateGroup(ctx, directory.CreateGroup{ParentID: p.id, Name: b.name})
		if err != nil {
			return err
		}
		child := &place{branch: b, id: made.Group.ID, above: p}
		s.places = append(s.places, child)
		if err := s.plantBelow(ctx, child); err != nil {
			return err
		}
	}
	return nil
}

func (s *seeder) set(ctx context.Context, p *place) error {
	if p.restricted {
		restricted := group.VisibilityRESTRICTED
		_, err := s.directory.UpdateGroup(ctx, directory.UpdateGroup{
			GroupID: p.id, Visibility: &restricted, Reason: "Its clients were promised discretion",
		})
		if err != nil {
			return err
		}
	}
	if p.settings == (settings{}) {
		return nil
	}
	_, err := s.directory.UpdateGroupSettings(ctx, directory.UpdateGroupSettings{
		GroupID: p.id, SharedInbox: given(p.settings.sharedInbox), AssignmentMode: given(p.settings.mode),
		Capacity: given(p.settings.capacity), RadarWindow: given(p.settings.radarWindow),
		ReassignAfter: given(p.settings.reassignAfter), CloseAfter: given(p.settings.closeAfter),
	})
	return err
}

func given[T any](value *T) optional.Value[T] { return optional.Value[T]{Set: value != nil, To: value} }
