package directory

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect"
)

// Authenticate returns who holds the token of a session, with the grants that are in force now, in two statements.
//
// Nothing is remembered between calls, so expiry, revocation, deactivation and switched settings count at once. The
// refusals are NoViewer and Paused; any other error is one of the database.
func (s *Service) Authenticate(ctx context.Context, token string) (*authz.Viewer, error) {
	now := s.now()
	who, err := identify(ctx, s.DB.Keyed, identityBySession, hashToken(token), now)
	if err != nil {
		return nil, err
	}
	return s.present(ctx, who, now)
}

// present returns who was identified as a viewer, if they may do anything.
func (s *Service) present(ctx context.Context, who *identity, now time.Time) (*authz.Viewer, error) {
	switch {
	case who == nil || who.status != "ACTIVE":
		return nil, refusal.NoViewer()
	case who.paused:
		return nil, refusal.Paused()
	}
	v, err := who.viewer(ctx, s.DB.Keyed, now)
	if v == nil && err == nil {
		err = refusal.NoViewer() // the account has just been deleted
	}
	return v, err
}

// ViewerByEmail returns an active user of the account as a viewer, for what somebody does at the machine itself in the
// user's name. The refusals are NOT_FOUND, and those of Authenticate.
func (s *Service) ViewerByEmail(ctx context.Context, slug, email string) (*authz.Viewer, error) {
	u, err := s.DB.Read.User.Query().Where(user.EmailKey(EmailKey(email)), user.HasAccountWith(account.Slug(slug))).
		Only(authz.Trusted(ctx))
	switch {
	case err != nil:
		return nil, found(err, "user in this account")
	case u.Status != user.StatusACTIVE:
		return nil, refusal.Conflict(refusal.NotActive, "The user %s is not active.", u.Email)
	case u.AccessPausedAt != nil:
		return nil, refusal.Paused()
	}
	return s.LoadViewer(ctx, s.DB.Read, u.ID)
}

// LoadViewer returns the user as a viewer with the grants in force at the moment of the call, whatever the user's
// status, or nil when there is no such user. Called with a transaction it sees what the transaction changed: so a
// use-case evaluates the access of somebody else, or its viewer's own after a change. It does not ask whether the
// viewer in the context may see the user.
func (s *Service) LoadViewer(ctx context.Context, q store.Querier, userID int64) (*authz.Viewer, error) {
	return loadViewer(ctx, q, userID, s.now())
}

func loadViewer(ctx context.Context, q store.Querier, userID int64, at time.Time) (*authz.Viewer, error) {
	who, err := identify(ctx, q, identityByUser, userID)
	if who == nil || err != nil {
		return nil, err
	}
	return who.viewer(ctx, q, at)
}

// identity is the user behind a session or a number.
type identity struct {
	accountID, userID, sessionID, writes int64
	status                               string
	paused, customRoles, carrying        bool
}

const (
	identityOfSession = `
SELECT u.account_id, u.id, s.id, s.writes, u.status, u.access_paused_at IS NOT NULL, a.custom_roles_enabled,
  EXISTS (SELECT 1 FROM detours d WHERE d.account_id = a.id)
FROM sessions s JOIN users u ON u.id = s.user_id JOIN accounts a ON a.id = u.account_id
WHERE `

	identityBySession = identityOfSession + `s.token_hash = $1 AND s.expires_at > $2`
	identityByRenewal = identityOfSession + `s.id = $1 AND s.expires_at > $2`

	identityByUser = `
SELECT u.account_id, u.id, 0, 0, u.status, u.access_paused_at IS NOT NULL, a.custom_roles_enabled,
  EXISTS (SELECT 1 FROM detours d WHERE d.account_id = a.id)
FROM users u JOIN accounts a ON a.id = u.account_id
WHERE u.id = $1`
)

// identify returns nil when there is nobody.
func identify(ctx context.Context, q store.Querier, query string, args ...any) (*identity, error) {
	var who *identity
	err := store.EachRow(ctx, q, query, args, func(rows *sql.Rows) error {
		who = &identity{}
		return rows.Scan(&who.accountID, &who.userID, &who.sessionID, &who.writes, &who.status, &who.paused, &who.customRoles, &who.carrying)
	})
	if err != nil {
		return nil, fmt.Errorf("directory: looking up who is asking: %w", err)
	}
	return who, nil
}

// grantsInForce yields two kinds of rows: the grants of the user that are in force, and the groups where they stand
// with all groups above those, the home group's among them; the rows of groups say in group_id which that is.
func grantsInForce(d string) string {
	groupBy := func(id string) string {
		if d == dialect.Postgres {
			// The limit keeps PostgreSQL, which takes the chain for a long one, from reading all groups to join them.
			return "CROSS JOIN LATERAL (SELECT * FROM groups WHERE groups.id = " + id + " LIMIT 1) AS g"
		}
		return "CROSS JOIN groups AS g ON g.id = " + id
	}
	return `
WITH RECURSIVE
home(id) AS (SELECT home_group_id FROM users WHERE id = $1),
held(id, role_id, group_id) AS (
  SELECT id, role_id, COALESCE(group_id, (SELECT id FROM home)) FROM role_grants
  WHERE user_id = $1 AND revoked_at IS NULL AND valid_from <= $2 AND (valid_until IS NULL OR valid_until > $2)
),
stands(id) AS (SELECT id FROM home UNION SELECT group_id FROM held),
chain(id, parent_id, path, wall, shared_inbox, assignment_mode) AS (
  SELECT g.id, g.parent_id, g.path, g.wall, g.shared_inbox, g.assignment_mode FROM stands s ` + groupBy("s.id") + `
  UNION
  SELECT g.id, g.parent_id, g.path, g.wall, g.shared_inbox, g.assignment_mode FROM chain c ` + groupBy("c.parent_id") + `
)
SELECT 0 AS kind, id, path, wall, shared_inbox, assignment_mode, 0 AS role_id, (SELECT id FROM home) AS group_id, '' AS key, '' AS pairs FROM chain
UNION ALL
SELECT 1, h.id, '', '', NULL, NULL, h.role_id, h.group_id, COALESCE(r.key, ''), COALESCE(CAST(r.pairs AS TEXT), '')
FROM held h JOIN roles r ON r.id = h.role_id
ORDER BY kind, id`
}

// viewer gathers the grants. The home group and the grants come from one statement, so they agree with each other
// also while somebody moves the user or groups, or deletes one. It returns nil when the user is not there any more.
func (who *identity) viewer(ctx context.Context, q store.Querier, at time.Time) (*authz.Viewer, error) {
	v := &authz.Viewer{AccountID: who.accountID, UserID: who.userID, SessionID: who.sessionID, Writes: who.writes,
		Carrying: who.carrying, At: at}
	groups := map[int64]*ent.Group{}
	var home *ent.Group
	err := store.EachRow(ctx, q, grantsInForce(q.Dialect()), []any{who.userID, at}, func(rows *sql.Rows) error {
		var kind, id, roleID, groupID int64
		var g ent.Group
		var key, pairs string
		if err := rows.Scan(&kind, &id, &g.Path, &g.Wall, &g.SharedInbox, &g.AssignmentMode, &roleID, &groupID, &key, &pairs); err != nil {
			return err
		}
		if kind == 0 {
			g.ID = id
			groups[id] = &g
			if id == groupID {
				home = &g
			}
			return nil
		}
		held, err := who.pairs(key, pairs)
		if err != nil {
			return fmt.Errorf("role %d: %w", roleID, err)
		}
		grant, err := grantAt(groups, groupID, held)
		if err != nil {
			return fmt.Errorf("role %d: %w", roleID, err)
		}
		grant.ID, grant.RoleID, grant.RoleKey = id, roleID, key
		v.Grants = append(v.Grants, grant)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("directory: loading the grants of user %d: %w", who.userID, err)
	}
	if home == nil {
		return nil, nil
	}
	v.Home = rule.PlaceOf(home)
	return v, nil
}

// grantAt judges a grant of what a role holds at the group, which is among the groups together with all above it.
func grantAt(groups map[int64]*ent.Group, groupID int64, held authz.Pairs) (authz.Grant, error) {
	g := authz.Grant{Place: rule.PlaceOf(groups[groupID]), Pairs: held}
	var chain []*ent.Group
	for _, id := range tree.IDs(g.Place.Path) {
		if groups[id] == nil {
			return authz.Grant{}, fmt.Errorf("the path of group %d does not lead along its ancestors", groupID)
		}
		chain = append(chain, groups[id])
		settings := tree.Resolve(chain)
		g.SharedInbox = settings.SharedInbox.Value
		if settings.AssignmentMode.Value == group.AssignmentModeMANUAL {
			g.Queues = append(g.Queues, id)
		}
	}
	return g, nil
}

// pairs are what a role holds: a built-in one by its key, a custom one what is stored, unless custom roles are off. A
// stored name that is in the table no more gives nothing.
func (who *identity) pairs(key, stored string) (authz.Pairs, error) {
	if key != "" {
		role, _ := authz.BuiltInRole(key)
		return role.Pairs, nil
	}
	var list []struct{ Permission, Scope string }
	if !who.customRoles || stored == "" {
		return authz.Pairs{}, nil
	}
	if err := json.Unmarshal([]byte(stored), &list); err != nil {
		return authz.Pairs{}, err
	}
	var known []authz.Pair
	for _, p := range list {
		permission, unknown := authz.ParsePermission(p.Permission)
		scope, nowhere := authz.ParseScope(p.Scope)
		if unknown == nil && nowhere == nil {
			known = append(known, authz.Pair{Permission: permission, Scope: scope})
		}
	}
	return authz.PairsOf(known), nil
}
