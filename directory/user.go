package directory

import (
	"context"
	"fmt"
	"slices"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/internal/fold"
	"canopy/internal/hours"
	"canopy/internal/optional"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"
)

// UserWithToken is a user who sets a password next, and the one-time token for it, which is nowhere else.
type UserWithToken struct {
	User       *ent.User
	SetupToken string
}

// InviteUser is the input of Service.InviteUser. The roles follow the home group.
type InviteUser struct {
	Name        string
	Email       string
	HomeGroupID int64
	RoleIDs     []int64
	Reason      string
}

// InviteUser creates a user who has not set a password yet. Each role needs what GrantRole needs.
func (s *Service) InviteUser(ctx context.Context, in InviteUser) (*UserWithToken, error) {
	var invited *UserWithToken
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		home, roles, err := d.homeAndRoles(ctx, in)
		if err != nil {
			return err
		}
		wanted, err := checkUser(in.Name, in.Email)
		if err != nil {
			return err
		}
		if len(roles) > maxGrants {
			return refusal.BadInput("input.roleIds", "A user holds at most %d roles. Name fewer.", maxGrants)
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(roles, func(r *ent.Role) bool { return r.Key == nil }) {
			if err := d.customRolesOn(); err != nil {
				return err
			}
		}
		u := newUser{identityOf: wanted, homeID: home.ID}
		for _, r := range roles {
			u.grants = append(u.grants, newGrant{role: r})
		}
		made, err := s.createUsers(ctx, d, []newUser{u}, reason)
		if err != nil {
			return err
		}
		invited = made[0]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return invited, nil
}

// homeAndRoles loads the home group and the roles of a user to come, each role once, and checks that the viewer may
// invite there and give those.
func (d *doing) homeAndRoles(ctx context.Context, in InviteUser) (home *ent.Group, roles []*ent.Role, err error) {
	if home, err = d.group(ctx, in.HomeGroupID); err != nil {
		return nil, nil, err
	}
	for _, id := range once(in.RoleIDs) {
		r, err := d.role(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		roles = append(roles, r)
	}
	at := rule.PlaceOf(home)
	if err := d.mayInvite(at); err != nil {
		return nil, nil, err
	}
	if len(roles) == 0 {
		return home, nil, nil
	}
	giving, err := d.giving(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range roles {
		if err := d.mayGive(giving, r.ID, authz.AtGroup(at)); err != nil {
			return nil, nil, err
		}
	}
	return home, roles, nil
}

func (d *doing) mayInvite(home authz.Place) error {
	return d.may(authz.UsersInvite, authz.AtGroup(home), "at the home group")
}

// identityOf is how a user is called.
type identityOf struct{ name, email string }

func checkUser(name, email string) (identityOf, error) {
	name, err := checkName("input.name", name)
	if err != nil {
		return identityOf{}, err
	}
	email, err = checkEmail("input.email", email)
	return identityOf{name, email}, err
}

// newUser is a user to create, with the grants to begin with.
type newUser struct {
	identityOf
	homeID int64
	grants []newGrant // without their user
}

// createUsers inserts invited users with their grants, counts them at their home groups and records it.
func (s *Service) createUsers(ctx context.Context, d *doing, users []newUser, reason string) ([]*UserWithToken, error) {
	creates, homes, made := make([]*ent.UserCreate, len(users)), make([]int64, len(users)), make([]*UserWithToken, len(users))
	for i, u := range users {
		token, hash, expires, err := s.newSetupToken()
		if err != nil {
			return nil, err
		}
		made[i], homes[i] = &UserWithToken{SetupToken: token}, u.homeID
		creates[i] = d.tx.User.Create().SetAccountID(d.account.ID).SetHomeGroupID(u.homeID).
			SetName(u.name).SetNameKey(fold.Key(u.name)).SetEmail(u.email).SetEmailKey(fold.Key(u.email)).
			SetSetupTokenHash(hash).SetSetupExpiresAt(expires).SetCreatedAt(d.at)
	}
	rows, err := d.tx.User.CreateBulk(creates...).Save(ctx)
	if err != nil {
		return nil, emailTaken(err)
	}
	if err := tree.AddUsers(ctx, d.tx, homes...); err != nil {
		return nil, err
	}
	events, grants := make([]audit.Event, len(users)), []newGrant{}
	for i, u := range rows {
		made[i].User = u
		events[i] = audit.Event{Action: "USER_INVITED", TargetKind: relay.KindUser, TargetID: u.ID, Reason: reason,
			After: audit.Fields{"name": u.Name, "email": u.Email, "homeGroup": groupID(u.HomeGroupID)}}
		for _, g := range users[i].grants {
			g.user = u
			grants = append(grants, g)
		}
	}
	if err := d.record(ctx, events...); err != nil {
		return nil, err
	}
	_, err = d.createGrants(ctx, grants, reason)
	return made, err
}

func emailTaken(err error) error {
	if store.UniqueViolation(err, "user_email") {
		return errEmailTaken()
	}
	return fmt.Errorf("directory: storing a user: %w", err)
}

func errEmailTaken() error {
	return refusal.Conflict(refusal.EmailTaken, "A user of the account has this e-mail address already. Use another one.")
}

// UpdateUser is the input of Service.UpdateUser; what is nil stays.
type UpdateUser struct {
	UserID int64
	Name   *string
	Email  *string
}

// UpdateUser changes the name or e-mail address of a user.
func (s *Service) UpdateUser(ctx context.Context, in UpdateUser) (*ent.User, error) {
	var changed *ent.User
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		m, err := d.subordinate(ctx, in.UserID, authz.UsersEdit)
		if err != nil {
			return err
		}
		if in.Name == nil && in.Email == nil {
			return nothingToChange()
		}
		update := d.tx.User.UpdateOneID(m.ID)
		if in.Name != nil {
			name, err := checkName("input.name", *in.Name)
			if err != nil {
				return err
			}
			update.SetName(name).SetNameKey(fold.Key(name))
		}
		if in.Email != nil {
			email, err := checkEmail("input.email", *in.Email)
			if err != nil {
				return err
			}
			update.SetEmail(email).SetEmailKey(fold.Key(email))
		}
		if changed, err = update.Save(ctx); err != nil {
			return emailTaken(err)
		}
		return d.record(ctx, audit.Event{Action: "USER_UPDATED", TargetKind: relay.KindUser, TargetID: m.ID,
			Before: audit.Fields{"name": m.Name, "email": m.Email},
			After:  audit.Fields{"name": changed.Name, "email": changed.Email}})
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// subordinate returns a user over whom the viewer holds the permission and whom they outrank.
func (d *doing) subordinate(ctx context.Context, id int64, p authz.Permission) (member, error) {
	m, err := d.user(ctx, id)
	if err != nil {
		return member{}, err
	}
	if err := d.may(p, m.target(), "at this user"); err != nil {
		return member{}, err
	}
	giving, err := d.giving(ctx)
	if err != nil {
		return member{}, err
	}
	return m, d.outranks(ctx, giving, m.ID)
}

// ResetPassword is the input of Service.ResetPassword.
type ResetPassword struct {
	UserID int64
	Reason string
}

// ResetPassword takes away the password of a user and ends their sessions. An invited user gets a new token.
func (s *Service) ResetPassword(ctx context.Context, in ResetPassword) (*UserWithToken, error) {
	var reset *UserWithToken
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		m, err := d.subordinate(ctx, in.UserID, authz.UsersEdit)
		if err != nil {
			return err
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		now, err := lockUser(ctx, d.tx, m.ID)
		if err != nil {
			return err
		}
		if now.Status != user.StatusACTIVE && now.Status != user.StatusINVITED {
			return refusal.Conflict(refusal.NotActive, "The user is deactivated. Activate the user first.")
		}
		token, hash, expires, err := s.newSetupToken()
		if err != nil {
			return err
		}
		changed, err := d.tx.User.UpdateOneID(m.ID).ClearPasswordHash().SetSetupTokenHash(hash).SetSetupExpiresAt(expires).Save(ctx)
		if err != nil {
			return fmt.Errorf("directory: resetting a password: %w", err)
		}
		ended, err := endSessions(ctx, d.tx, m.ID, 0)
		if err != nil {
			return err
		}
		reset = &UserWithToken{User: changed, SetupToken: token}
		return d.record(ctx, audit.Event{Action: "PASSWORD_RESET", TargetKind: relay.KindUser, TargetID: m.ID, Reason: reason,
			After: audit.Fields{"sessionsEnded": ended}})
	})
	if err != nil {
		return nil, err
	}
	return reset, nil
}

// UpdateViewer is the input of Service.UpdateViewer; what is nil stays.
type UpdateViewer struct {
	Name         *string
	Availability *user.Availability
	WorkingHours optional.Value[hours.Week] // cleared: always
}

// UpdateViewer changes what everybody may change about themselves.
func (s *Service) UpdateViewer(ctx context.Context, in UpdateViewer) (*ent.User, error) {
	var changed *ent.User
	err := s.change(ctx, tree.LockShared, func(ctx context.Context, d *doing) error {
		before, err := lockUser(ctx, d.tx, d.viewer.UserID)
		if err != nil {
			return err
		}
		if in.Name == nil && in.Availability == nil && !in.WorkingHours.Set {
			return nothingToChange()
		}
		if err := checkHours(in.WorkingHours.To); err != nil {
			return err
		}
		update := d.tx.User.UpdateOneID(d.viewer.UserID)
		if in.Name != nil {
			name, err := checkName("input.name", *in.Name)
			if err != nil {
				return err
			}
			update.SetName(name).SetNameKey(fold.Key(name))
		}
		if in.Availability != nil {
			if user.AvailabilityValidator(*in.Availability) != nil {
				return refusal.BadInput("input.availability", "%q is not an availability.", *in.Availability)
			}
			update.SetAvailability(*in.Availability)
		}
		setHours(in.WorkingHours, update.Mutation())
		if changed, err = update.Save(ctx); err != nil {
			return fmt.Errorf("directory: changing the viewer: %w", err)
		}
		if err := s.returned(ctx, d, changed.ID, in.Availability); err != nil {
			return err
		}
		fields := func(u *ent.User) audit.Fields {
			return audit.Fields{"name": u.Name, "availability": u.Availability, "workingHours": u.WorkingHours}
		}
		err = d.record(ctx, audit.Event{Action: "VIEWER_UPDATED", TargetKind: relay.KindUser, TargetID: changed.ID,
			Before: fields(before), After: fields(changed)})
		if err != nil {
			return err
		}
		return d.worksFrom(ctx, changed)
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}
