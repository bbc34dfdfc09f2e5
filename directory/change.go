package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/role"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/live"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// doing is a use-case under way: in what transaction, who does it, in which account, and when.
type doing struct {
	tx      *ent.Tx
	viewer  *authz.Viewer // as they stand inside the transaction; nil for the platform operator
	account *ent.Account
	at      time.Time

	foresight *foresight // what the change is compared by; nil when nobody wants to know

	stood map[thing]*live.Stand // where groups and users stood that were loaded to be changed
}

// lock is tree.LockShared or tree.LockExclusive.
type lock func(ctx context.Context, c tree.Conn, accountID int64) error

// change runs fn for the viewer in one transaction. With tree.LockExclusive it is the only change of the account's
// tree, users and access at that time: what fn decides by (who is an owner, what the viewer may do, which name is
// free) stays true until it is committed. The viewer is loaded anew under the lock, because the one in the context
// was judged when the request began.
func (s *Service) change(ctx context.Context, lock lock, fn func(ctx context.Context, d *doing) error) error {
	asking := authz.FromContext(ctx)
	if asking == nil {
		return refusal.NoViewer()
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
		if err := lock(ctx, tx, asking.AccountID); err != nil {
			return err
		}
		d, err := s.begin(ctx, tx, asking)
		if err != nil {
			return err
		}
		return fn(authz.NewContext(ctx, d.viewer), d)
	})
}

func (s *Service) begin(ctx context.Context, tx *ent.Tx, asking *authz.Viewer) (*doing, error) {
	who, err := tx.User.Query().Where(user.ID(asking.UserID), user.AccountID(asking.AccountID)).Only(authz.Trusted(ctx))
	switch {
	case ent.IsNotFound(err):
		return nil, refusal.NoViewer()
	case err != nil:
		return nil, fmt.Errorf("directory: loading who is asking: %w", err)
	case who.Status != user.StatusACTIVE:
		return nil, refusal.NoViewer()
	case who.AccessPausedAt != nil:
		return nil, refusal.Paused()
	}
	v, err := s.LoadViewer(ctx, tx, asking.UserID)
	if err != nil {
		return nil, err
	}
	v.SessionID = asking.SessionID
	account, err := tx.Account.Get(authz.Trusted(ctx), asking.AccountID)
	if err != nil {
		return nil, fmt.Errorf("directory: loading the account: %w", err)
	}
	return &doing{tx: tx, viewer: v, account: account, at: s.now()}, nil
}

// operate runs fn for the platform operator, who is outside of every account and sees all of it.
func (s *Service) operate(ctx context.Context, accountID int64, fn func(ctx context.Context, d *doing) error) error {
	return s.DB.Write(authz.Trusted(ctx), func(ctx context.Context, tx *ent.Tx) error {
		if err := tree.LockExclusive(ctx, tx, accountID); err != nil {
			return err
		}
		account, err := tx.Account.Get(ctx, accountID)
		if err != nil {
			return found(err, "account")
		}
		return fn(ctx, &doing{tx: tx, account: account, at: s.now()})
	})
}

// record writes the audit events of the change, and tells subscribers.
func (d *doing) record(ctx context.Context, events ...audit.Event) error {
	for i := range events {
		e := &events[i]
		e.AccountID, e.At = d.account.ID, d.at
		if d.viewer != nil {
			e.UserID = d.viewer.UserID
		}
	}
	if err := audit.Record(ctx, d.tx, events...); err != nil {
		return err
	}
	return d.publish(ctx, events)
}

// may refuses unless the viewer holds the permission at the target.
func (d *doing) may(p authz.Permission, at authz.Target, where string) error {
	if !d.viewer.Can(p, at) {
		return refusal.Forbidden(p, where)
	}
	return nil
}

// found turns Ent's NotFound into the refusal: there is no such thing, or the viewer may not see it.
func found(err error, what string) error {
	if ent.IsNotFound(err) {
		return refusal.NotFound(what)
	}
	return fmt.Errorf("directory: loading a %s: %w", what, err)
}

// group returns a group that the viewer sees.
func (d *doing) group(ctx context.Context, id int64) (*ent.Group, error) {
	g, err := d.tx.Group.Query().Where(group.ID(id)).Only(ctx)
	if err != nil {
		return nil, found(err, "group")
	}
	d.remember(relay.KindGroup, g.ID, live.At(rule.PlaceOf(g)))
	return g, nil
}

// groupIfNamed returns nil for nil.
func (d *doing) groupIfNamed(ctx context.Context, id *int64) (*ent.Group, error) {
	if id == nil {
		return nil, nil
	}
	return d.group(ctx, *id)
}

// member is a user with the place of the home group.
type member struct {
	*ent.User
	home authz.Place
}

func (m member) target() authz.Target { return authz.AtUser(m.home, m.ID) }

// user returns a user that the viewer sees and who is not deleted.
func (d *doing) user(ctx context.Context, id int64) (member, error) {
	u, err := d.tx.User.Query().Where(user.ID(id), user.StatusNEQ(user.StatusDELETED)).Only(ctx)
	if err != nil {
		return member{}, found(err, "user")
	}
	return d.withHome(ctx, u)
}

// withHome adds the place of the home group, whether or not the viewer sees that group.
func (d *doing) withHome(ctx context.Context, u *ent.User) (member, error) {
	home, err := d.anyGroup(ctx, u.HomeGroupID)
	if err != nil {
		return member{}, err
	}
	d.remember(relay.KindUser, u.ID, &live.Stand{GroupID: u.HomeGroupID})
	return member{User: u, home: rule.PlaceOf(home)}, nil
}

// anyGroup returns a group of the account whether or not the viewer sees it.
func (d *doing) anyGroup(ctx context.Context, id int64) (*ent.Group, error) {
	g, err := d.tx.Group.Query().Where(group.ID(id), group.AccountID(d.account.ID)).Only(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading group %d: %w", id, err)
	}
	return g, nil
}

// anyUser returns a user of the account as they are now, whether or not the viewer sees them.
func (d *doing) anyUser(ctx context.Context, id int64) (*ent.User, error) {
	u, err := d.tx.User.Query().Where(user.ID(id), user.AccountID(d.account.ID)).Only(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading user %d: %w", id, err)
	}
	return u, nil
}

// role returns a role that the viewer sees.
func (d *doing) role(ctx context.Context, id int64) (*ent.Role, error) {
	r, err := d.tx.Role.Query().Where(role.ID(id)).Only(ctx)
	if err != nil {
		return nil, found(err, "role")
	}
	return r, nil
}

// The ids of things as the audit trail spells them: as clients do.
func groupID(id int64) string { return relay.NewID(relay.KindGroup, id).String() }
func userID(id int64) string  { return relay.NewID(relay.KindUser, id).String() }
func roleID(id int64) string  { return relay.NewID(relay.KindRole, id).String() }

func roleIDs(ids []int64) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = roleID(id)
	}
	return texts
}

// structural turns what package tree says no to into refusals.
func structural(err error, maxDepth int) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tree.ErrRoot):
		return rootGroup()
	case errors.Is(err, tree.ErrCycle):
		return refusal.Conflict(refusal.GroupCycle,
			"A group cannot go under itself or under a group below it. Choose a group outside of its branch.")
	case errors.Is(err, tree.ErrTooDeep):
		return tooDeep(maxDepth)
	case errors.Is(err, tree.ErrUnderWay):
		return refusal.Conflict(refusal.MoveUnderWay,
			"A branch here was moved a moment ago and its contacts are still being carried along. Try again when groupMoves shows it as finished.")
	case errors.Is(err, tree.ErrNotEmpty):
		return refusal.Conflict(refusal.GroupNotEmpty,
			"The group has children, users or contacts. Name a successor that takes them over, or move them first.")
	case nameIsTaken(err):
		return groupNameTaken()
	}
	return err
}

func rootGroup() error {
	return refusal.Conflict(refusal.RootGroup, "The root group can be neither moved nor deleted.")
}

func tooDeep(maxDepth int) error {
	return refusal.Conflict(refusal.GroupTooDeep,
		"The tree would become deeper than the %d levels that are allowed. Choose a place higher up.", maxDepth)
}

// foremost returns the refusal that wins when several apply (ruling 16), nil when there is none; an error that is no
// refusal wins over all.
func foremost(errs ...error) error {
	order := []refusal.Code{refusal.Unauthenticated, refusal.NotFoundCode, refusal.ForbiddenCode, refusal.BadUserInput, refusal.ConflictCode}
	var first error
	rank := len(order)
	for _, err := range errs {
		var r *refusal.Refusal
		switch {
		case err == nil:
		case !errors.As(err, &r):
			return err
		default:
			if i := slices.Index(order, r.Code); first == nil || i < rank {
				first, rank = err, i
			}
		}
	}
	return first
}
