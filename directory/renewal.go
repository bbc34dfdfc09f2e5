package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/live"
	"canopy/refusal"
)

// Renew returns the viewer of an earlier request as they stand now, with the grants that are in force, by the same session.
// The refusals are those of Authenticate.
func (s *Service) Renew(ctx context.Context, v *authz.Viewer) (*authz.Viewer, error) {
	now := s.now()
	query, args := identityByUser, []any{v.UserID}
	if v.SessionID != 0 {
		query, args = identityByRenewal, []any{v.SessionID, now}
	}
	who, err := identify(ctx, s.DB.Keyed, query, args...)
	if err != nil {
		return nil, err
	}
	return s.present(ctx, who, now)
}

// RenewAll is Renew for many viewers of one account, in their order, by a handful of statements. Until is the first moment
// after now at which time alone changes any of it, the zero time if none does.
func (s *Service) RenewAll(ctx context.Context, accountID int64, viewers []*authz.Viewer) (renewed []live.Renewed, until time.Time, err error) {
	now := s.now()
	st := &renewal{at: now, sessions: map[int64]*ent.Session{}, users: map[int64]*ent.User{}}
	for _, v := range viewers {
		st.users[v.UserID] = nil
		if v.SessionID != 0 {
			st.sessions[v.SessionID] = nil
		}
	}
	if err := st.load(authz.Trusted(ctx), s.DB.Read, accountID); err != nil {
		return nil, time.Time{}, fmt.Errorf("directory: renewing %d viewers: %w", len(viewers), err)
	}
	loaded, err := s.LoadViewers(ctx, s.DB.Read, accountID, slices.Sorted(maps.Keys(st.users)), now)
	if err != nil && !ent.IsNotFound(err) { // else the account is gone
		return nil, time.Time{}, err
	}
	for _, v := range viewers {
		r := live.Renewed{Refused: st.refused(v)}
		if is := loaded[v.UserID]; is == nil {
			r.Refused = refusal.NoViewer()
		} else if r.Refused == nil {
			same := *is
			same.SessionID = v.SessionID
			r.Viewer = &same
		}
		renewed = append(renewed, r)
	}
	return renewed, st.until, nil
}

// renewal is what decides whether viewers are viewers still.
type renewal struct {
	at       time.Time
	sessions map[int64]*ent.Session // those that are not over
	users    map[int64]*ent.User
	until    time.Time
}

func (st *renewal) load(ctx context.Context, c *ent.Client, accountID int64) error {
	for part := range slices.Chunk(slices.Sorted(maps.Keys(st.sessions)), valuesAtOnce) {
		list, err := c.Session.Query().Where(session.AccountID(accountID), session.IDIn(part...), session.ExpiresAtGT(st.at)).All(ctx)
		if err != nil {
			return err
		}
		for _, s := range list {
			st.sessions[s.ID] = s
			st.changes(s.ExpiresAt)
		}
	}
	for part := range slices.Chunk(slices.Sorted(maps.Keys(st.users)), valuesAtOnce) {
		list, err := c.User.Query().Where(user.AccountID(accountID), user.IDIn(part...)).All(ctx)
		if err != nil {
			return err
		}
		for _, u := range list {
			st.users[u.ID] = u
		}
		next, err := nextGrant(ctx, c, st.at, rolegrant.UserIDIn(part...))
		if err != nil {
			return err
		}
		st.changes(next)
	}
	return nil
}

// nextGrant is the first moment after the given one at which one of the grants begins or ends by itself, the zero time for
// none.
func nextGrant(ctx context.Context, c *ent.Client, at time.Time, whose predicate.RoleGrant) (next time.Time, err error) {
	theirs := c.RoleGrant.Query().Where(whose, rolegrant.RevokedAtIsNil()).Limit(1)
	begins, err := theirs.Clone().Where(rolegrant.ValidFromGT(at)).Order(rolegrant.ByValidFrom()).All(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for _, g := range begins {
		next = g.ValidFrom
	}
	ends, err := theirs.Where(rolegrant.ValidUntilGT(at)).Order(rolegrant.ByValidUntil()).All(ctx)
	for _, g := range ends {
		next = live.Earlier(next, *g.ValidUntil)
	}
	return next, err
}

func (st *renewal) changes(at time.Time) { st.until = live.Earlier(st.until, at) }

// Rosters returns who serves at home in each of the groups now, and whether they are within their working hours. Until is
// the first moment after now at which time alone changes any of it, the zero time if none does.
func (s *Service) Rosters(ctx context.Context, accountID int64, groupIDs []int64) (of map[int64]live.Roster, until time.Time, err error) {
	ctx, now, of := authz.Trusted(ctx), s.now(), map[int64]live.Roster{}
	for part := range slices.Chunk(groupIDs, valuesAtOnce) {
		serving, err := s.DB.Read.User.Query().Where(user.AccountID(accountID), user.HomeGroupIDIn(part...), predicate.User(rule.Serving(now))).
			Select(user.FieldID, user.FieldHomeGroupID, user.FieldWorkingHours).All(ctx)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("directory: loading who serves in %d groups: %w", len(part), err)
		}
		for _, u := range serving {
			if of[u.HomeGroupID] == nil {
				of[u.HomeGroupID] = live.Roster{}
			}
			of[u.HomeGroupID][u.ID] = u.WorkingHours.Includes(now)
			if turn, some := u.WorkingHours.Turn(now); some {
				until = live.Earlier(until, turn)
			}
		}
		next, err := nextGrant(ctx, s.DB.Read, now, rolegrant.HasUserWith(user.AccountID(accountID), user.HomeGroupIDIn(part...)))
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("directory: looking when grants in %d groups begin and end: %w", len(part), err)
		}
		until = live.Earlier(until, next)
	}
	return of, until, nil
}

// refused says why the viewer is none any more, nil if they are.
func (st *renewal) refused(v *authz.Viewer) *refusal.Refusal {
	switch u := st.users[v.UserID]; {
	case v.SessionID != 0 && st.sessions[v.SessionID] == nil, u == nil, u.Status != user.StatusACTIVE:
		return refusal.NoViewer()
	case u.AccessPausedAt != nil:
		return refusal.Paused()
	}
	return nil
}
