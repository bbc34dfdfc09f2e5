package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// maxGrants is how many grants, in force or to come, a user has at most.
const maxGrants = 100

// GrantRole is the input of Service.GrantRole.
type GrantRole struct {
	UserID     int64
	RoleID     int64
	GroupID    *int64     // nil: the grant follows the home group
	ValidFrom  *time.Time // nil: now
	ValidUntil *time.Time // nil: no end
	Reason     string

	PreviewToken *string // refuse the grant unless it does what a preview of it showed; nil: no preview
}

// GrantRole gives a user a role. Nobody gives themselves anything, or what their own roles do not list; ROLES_ASSIGN is
// needed at the user and at the group of the grant.
func (s *Service) GrantRole(ctx context.Context, in GrantRole) (*ent.RoleGrant, error) {
	var given *ent.RoleGrant
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		return s.asForeseen(ctx, d, in.PreviewToken, in.proposal(), func() (err error) {
			given, err = d.grantRole(ctx, in)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return given, nil
}

func (d *doing) grantRole(ctx context.Context, in GrantRole) (*ent.RoleGrant, error) {
	m, r, err := d.userAndRole(ctx, in)
	if err != nil {
		return nil, err
	}
	in.ValidFrom, in.ValidUntil = utc(in.ValidFrom), utc(in.ValidUntil)
	if err := in.checkTimes(d.at); err != nil {
		return nil, err
	}
	reason, err := d.reason(in.Reason)
	if err != nil {
		return nil, err
	}
	if err := d.admitsGrant(ctx, m, r, in); err != nil {
		return nil, err
	}
	if err := d.foreseeGrant(ctx, m, in); err != nil {
		return nil, err
	}
	made, err := d.createGrants(ctx, []newGrant{{user: m.User, role: r, in: in}}, reason)
	if err != nil {
		return nil, err
	}
	return made[0], nil
}

// userAndRole loads whom and what the grant is about, and holds the limits on giving access against it.
func (d *doing) userAndRole(ctx context.Context, in GrantRole) (member, *ent.Role, error) {
	m, err := d.user(ctx, in.UserID)
	if err != nil {
		return member{}, nil, err
	}
	r, err := d.role(ctx, in.RoleID)
	if err != nil {
		return member{}, nil, err
	}
	targets := []authz.Target{m.target()}
	g, err := d.groupIfNamed(ctx, in.GroupID)
	if err != nil {
		return member{}, nil, err
	}
	if g != nil {
		targets = append(targets, authz.AtGroup(rule.PlaceOf(g)))
	}
	giving, err := d.giving(ctx)
	if err != nil {
		return member{}, nil, err
	}
	return m, r, d.mayGive(giving, r.ID, targets...)
}

// mayGive holds the limits on giving access against a grant: the targets are whom it is given to and where.
func (d *doing) mayGive(g *giving, roleID int64, targets ...authz.Target) error {
	if err := d.mayAssign(targets...); err != nil {
		return err
	}
	for _, t := range targets {
		if err := d.notOneself(t.Subject); err != nil {
			return err
		}
	}
	return g.may(roleID)
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	micro := t.UTC().Truncate(time.Microsecond)
	return &micro
}

func (in GrantRole) checkTimes(now time.Time) error {
	switch until := in.ValidUntil; {
	case until == nil:
		return nil
	case !until.After(now):
		return refusal.BadInput("input.validUntil", "The grant would have ended already. Give a moment to come, or none.")
	case in.ValidFrom != nil && !until.After(*in.ValidFrom):
		return refusal.BadInput("input.validUntil", "The grant would end before it begins. Give a later end, or none.")
	}
	return nil
}

// admitsGrant refuses a grant that adds nothing to those that the user has, one too many, and one that custom roles or
// a pause stand in the way of.
func (d *doing) admitsGrant(ctx context.Context, m member, r *ent.Role, in GrantRole) error {
	have, err := d.grants(ctx, rolegrant.UserID(m.ID))
	if err != nil {
		return err
	}
	return d.admitsBeside(have, m.User, r, in)
}

func (d *doing) admitsBeside(have []*ent.RoleGrant, u *ent.User, r *ent.Role, in GrantRole) error {
	if r.Key == nil {
		if err := d.customRolesOn(); err != nil {
			return err
		}
	}
	if u.AccessPausedAt != nil && (r.Key == nil || *r.Key != authz.RoleAgent) {
		return refusal.Conflict(refusal.AccessPaused,
			"The access of this user is paused, which is for users who are agents and nothing else. Resume it first.")
	}
	if len(have) >= maxGrants {
		return refusal.Conflict("", "The user holds %d grants already, which is the limit. Revoke one first.", maxGrants)
	}
	if slices.ContainsFunc(have, func(g *ent.RoleGrant) bool { return in.addsNothingTo(g, d.at) }) {
		return refusal.Conflict(refusal.AlreadyGranted,
			"The user holds this role at this place for that time already.")
	}
	return nil
}

// addsNothingTo says whether the other grant gives the same for all of the time.
func (in GrantRole) addsNothingTo(have *ent.RoleGrant, now time.Time) bool {
	if have.RoleID != in.RoleID || (have.GroupID == nil) != (in.GroupID == nil) || have.GroupID != nil && *have.GroupID != *in.GroupID {
		return false
	}
	if have.ValidFrom.After(orElse(deref(in.ValidFrom), now)) {
		return false
	}
	return have.ValidUntil == nil || in.ValidUntil != nil && !have.ValidUntil.Before(*in.ValidUntil)
}

func deref(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// newGrant is a grant to create. Of the input, place and times count.
type newGrant struct {
	user *ent.User
	role *ent.Role
	in   GrantRole
}

// grantsAtOnce is how many grants one statement writes: a statement takes only so many parameters.
const grantsAtOnce = 1000

// createGrants writes grants and their events.
func (d *doing) createGrants(ctx context.Context, grants []newGrant, reason string) ([]*ent.RoleGrant, error) {
	creates := make([]*ent.RoleGrantCreate, len(grants))
	for i, g := range grants {
		creates[i] = d.tx.RoleGrant.Create().SetAccountID(d.account.ID).SetUserID(g.user.ID).SetRoleID(g.role.ID).
			SetNillableGroupID(g.in.GroupID).SetValidFrom(orElse(deref(g.in.ValidFrom), d.at)).SetNillableValidUntil(g.in.ValidUntil).
			SetReason(reason).SetCreatedAt(d.at)
		if d.viewer != nil {
			creates[i].SetGrantedByID(d.viewer.UserID)
		}
	}
	given := make([]*ent.RoleGrant, 0, len(creates))
	for part := range slices.Chunk(creates, grantsAtOnce) {
		some, err := d.tx.RoleGrant.CreateBulk(part...).Save(ctx)
		if err != nil {
			return nil, fmt.Errorf("directory: granting a role: %w", err)
		}
		given = append(given, some...)
	}
	events, begins := make([]audit.Event, len(given)), []*ent.RoleGrant{}
	for i, g := range given {
		if grants[i].user.Status == user.StatusACTIVE || g.ValidFrom.After(d.at) { // whoever is invited serves nobody yet
			begins = append(begins, g)
		}
		events[i] = audit.Event{Action: "ROLE_GRANTED", TargetKind: relay.KindRoleGrant, TargetID: g.ID,
			Reason: reason, After: grantFields(g)}
	}
	if err := d.record(ctx, events...); err != nil {
		return nil, err
	}
	return given, d.givesOutTo(ctx, begins)
}

func grantFields(g *ent.RoleGrant) audit.Fields {
	f := audit.Fields{"user": userID(g.UserID), "role": roleID(g.RoleID), "group": nil,
		"validFrom": g.ValidFrom, "validUntil": g.ValidUntil, "revokedAt": g.RevokedAt}
	if g.GroupID != nil {
		f["group"] = groupID(*g.GroupID)
	}
	return f
}

// RevokeRole is the input of Service.RevokeRole.
type RevokeRole struct {
	GrantID int64
	Reason  string
}

// RevokeRole ends a grant at once, or one to come before it begins. Nobody revokes their own, and nobody revokes from
// somebody whom they do not outrank.
func (s *Service) RevokeRole(ctx context.Context, in RevokeRole) (*ent.RoleGrant, error) {
	var revoked *ent.RoleGrant
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		g, owner, err := d.revocable(ctx, in.GrantID)
		if err != nil {
			return err
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		if g.RevokedAt != nil || g.ValidUntil != nil && !g.ValidUntil.After(d.at) {
			return refusal.Conflict(refusal.AlreadyRevoked, "The grant has ended already.")
		}
		revoked, err = d.tx.RoleGrant.UpdateOneID(g.ID).SetRevokedAt(d.at).SetRevokedByID(d.viewer.UserID).Save(ctx)
		if err != nil {
			return fmt.Errorf("directory: revoking grant %d: %w", g.ID, err)
		}
		if owner {
			if err := d.ownersRemain(ctx, g.UserID); err != nil {
				return err
			}
		}
		return d.record(ctx, audit.Event{Action: "ROLE_REVOKED", TargetKind: relay.KindRoleGrant, TargetID: g.ID, Reason: reason,
			Before: grantFields(g), After: grantFields(revoked)})
	})
	if err != nil {
		return nil, err
	}
	return revoked, nil
}

// revocable loads a grant, says whether it is one of OWNER, and holds the limits on giving access against its end.
func (d *doing) revocable(ctx context.Context, id int64) (g *ent.RoleGrant, owner bool, err error) {
	g, err = d.tx.RoleGrant.Query().Where(rolegrant.ID(id)).Only(ctx)
	if err != nil {
		return nil, false, found(err, "grant")
	}
	targets, err := d.targetsOf(ctx, g)
	if err != nil {
		return nil, false, err
	}
	if err := d.mayAssign(targets...); err != nil {
		return nil, false, err
	}
	if err := d.notOneself(g.UserID); err != nil {
		return nil, false, err
	}
	giving, err := d.giving(ctx)
	if err != nil {
		return nil, false, err
	}
	key := giving.roles[g.RoleID].Key
	return g, key != nil && *key == authz.RoleOwner, d.outranks(ctx, giving, g.UserID)
}

// targetsOf are the user of a grant and, if it is fixed, its group, whether or not the viewer sees them.
func (d *doing) targetsOf(ctx context.Context, g *ent.RoleGrant) ([]authz.Target, error) {
	holder, err := d.anyUser(ctx, g.UserID)
	if err != nil {
		return nil, err
	}
	m, err := d.withHome(ctx, holder)
	if err != nil || g.GroupID == nil {
		return []authz.Target{m.target()}, err
	}
	at, err := d.anyGroup(ctx, *g.GroupID)
	if err != nil {
		return nil, err
	}
	return []authz.Target{m.target(), authz.AtGroup(rule.PlaceOf(at))}, nil
}

// holds says whether the viewer has a grant, in force or to come, that meets the condition.
func (d *doing) holds(ctx context.Context, condition predicate.RoleGrant) (bool, error) {
	grants, err := d.grants(ctx, rolegrant.UserID(d.viewer.UserID), condition)
	return len(grants) > 0, err
}
