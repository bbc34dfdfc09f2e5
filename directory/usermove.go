package directory

import (
	"context"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/rule"
	"canopy/relay"
	"canopy/tree"
)

// MoveUser is the input of Service.MoveUser.
type MoveUser struct {
	UserID      int64
	HomeGroupID int64
	Reason      string

	PreviewToken *string // refuse the move unless it does what a preview of it showed; nil: no preview
}

// MoveUser gives a user another home group. Grants without a group of their own travel along, so the viewer has to be
// somebody who may give each of those roles there (ruling 12). Contacts stay where they are.
func (s *Service) MoveUser(ctx context.Context, in MoveUser) (*ent.User, error) {
	var moved *ent.User
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		return s.asForeseen(ctx, d, in.PreviewToken, in.proposal(), func() (err error) {
			moved, err = d.moveUser(ctx, in)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return moved, nil
}

func (d *doing) moveUser(ctx context.Context, in MoveUser) (*ent.User, error) {
	m, to, err := d.userAndHome(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := d.mayMoveUser(ctx, m, rule.PlaceOf(to)); err != nil {
		return nil, err
	}
	reason, err := d.reason(in.Reason)
	if err != nil {
		return nil, err
	}
	if err := d.foreseeUserMove(ctx, m, to); err != nil {
		return nil, err
	}
	if _, err := lockUser(ctx, d.tx, m.ID); err != nil {
		return nil, err
	}
	// Whoever makes room for the user right now lets contacts be given out at the old home.
	if err := tree.CloseDoor(ctx, d.tx, d.account.ID); err != nil {
		return nil, err
	}
	if err := tree.MoveUser(ctx, d.tx, m.ID, m.HomeGroupID, to.ID); err != nil {
		return nil, err
	}
	moved, err := d.anyUser(ctx, m.ID)
	if err != nil {
		return nil, err
	}
	err = d.record(ctx, audit.Event{Action: "USER_MOVED", TargetKind: relay.KindUser, TargetID: m.ID, Reason: reason,
		Before: audit.Fields{"homeGroup": groupID(m.HomeGroupID)},
		After:  audit.Fields{"homeGroup": groupID(to.ID)}})
	if err != nil {
		return nil, err
	}
	return moved, givesOut(ctx, d.tx, moved, d.at)
}

// userAndHome loads the user and the new home group, and checks the permission at both.
func (d *doing) userAndHome(ctx context.Context, in MoveUser) (member, *ent.Group, error) {
	m, err := d.user(ctx, in.UserID)
	if err != nil {
		return member{}, nil, err
	}
	to, err := d.group(ctx, in.HomeGroupID)
	if err != nil {
		return member{}, nil, err
	}
	if err := d.may(authz.UsersEdit, m.target(), "at this user"); err != nil {
		return member{}, nil, err
	}
	return m, to, d.may(authz.UsersEdit, authz.AtGroup(rule.PlaceOf(to)), "at the new home group")
}

// mayMoveUser holds the limits on giving access against the move.
func (d *doing) mayMoveUser(ctx context.Context, m member, to authz.Place) error {
	if err := d.notOneself(m.ID); err != nil {
		return err
	}
	giving, err := d.giving(ctx)
	if err != nil {
		return err
	}
	if err := d.outranks(ctx, giving, m.ID); err != nil {
		return err
	}
	following, err := d.grants(ctx, rolegrant.UserID(m.ID), rolegrant.GroupIDIsNil())
	if err != nil {
		return err
	}
	for _, grant := range following {
		if err := d.mayAssign(m.target(), authz.AtGroup(to)); err != nil {
			return err
		}
		if err := giving.may(grant.RoleID); err != nil {
			return err
		}
	}
	return d.gainsOver(m.home, to)
}
