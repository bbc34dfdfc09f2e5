package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
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
		if err := st.loadGrants(ctx, c, part); err != nil {
			return err
		}
	}
	return nil
}

// loadGrants finds when the next grant begins or ends by itself.
func (st *renewal) loadGrants(ctx context.Context, c *ent.Client, users []int64) error {
	theirs := c.RoleGrant.Query().Where(rolegrant.UserIDIn(users...), rolegrant.RevokedAtIsNil()).Limit(1)
	begins, err := theirs.Clone().Where(rolegrant.ValidFromGT(st.at)).Order(rolegrant.ByValidFrom()).All(ctx)
	if err != nil {
		return err
	}
	for _, g := range begins {
		st.changes(g.ValidFrom)
	}
	ends, err := theirs.Where(rolegrant.ValidUntilGT(st.at)).Order(rolegrant.ByValidUntil()).All(ctx)
	for _, g := range ends {
		st.changes(*g.ValidUntil)
	}
	return err
}

func (st *renewal) changes(at time.Time) {
	if st.until.IsZero() || at.Before(st.until) {
		st.until = at
	}
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
