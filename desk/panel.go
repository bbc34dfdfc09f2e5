package desk

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// AgentState is whether an agent gets new contacts from a method, and why not, by the name that the API gives it.
type AgentState string

// The states.
const (
	StateAvailable AgentState = "AVAILABLE"     // gets new contacts
	StatePaused    AgentState = "PAUSED"        // is shut out until somebody resumes their access
	StateCovered   AgentState = "COVERED"       // somebody else gets what comes to them
	StateAway      AgentState = "AWAY"          // said so; works on
	StateOutside   AgentState = "OUTSIDE_HOURS" // is not at work, by their working hours
	StateFull      AgentState = "FULL"          // holds as many open conversations as their capacity says
)

// StateOf returns the state at a moment of somebody who serves, with the capacity that is in force for them. Where several
// reasons hold it is the one that others can do least about.
func StateOf(u *ent.User, b Busy, capacity int, at time.Time) AgentState {
	switch {
	case u.AccessPausedAt != nil:
		return StatePaused
	case b.Covered:
		return StateCovered
	case u.Availability != user.AvailabilityAVAILABLE:
		return StateAway
	case !u.WorkingHours.Includes(at):
		return StateOutside
	case capacity != tree.Unlimited && b.Load >= capacity:
		return StateFull
	}
	return StateAvailable
}

// Busy is how busy an agent is.
type Busy struct {
	Load    int       // contacts with an open conversation that are assigned to them
	Last    time.Time // the last activity of a contact that is assigned to them; zero for none
	Covered bool      // whether somebody covers them now
}

// BusyAgents says how busy users are, also with contacts that the viewer does not see: who may see a panel may see these
// numbers.
func (s *Service) BusyAgents(ctx context.Context, userIDs []int64) (map[int64]Busy, error) {
	last := func(state tree.State) string {
		return fmt.Sprintf("COALESCE((SELECT MAX(c.sort_key) FROM contacts AS c WHERE c.assigned_user_id = w.id AND c.box = %d), 0)", tree.BoxOf(state, true))
	}
	query := fmt.Sprintf(`SELECT w.id, (SELECT COUNT(*) FROM contacts AS c WHERE c.assigned_user_id = w.id AND c.box = %d), %s, %s, %s, v.id IS NOT NULL
		FROM (%s) AS w LEFT JOIN covers AS v ON v.user_id = w.id AND v.ended_at IS NULL AND v.ends_at > $2`,
		tree.BoxOf(tree.Open, true), last(tree.None), last(tree.Open), last(tree.Closed), numbersOf(s.DB.Dialect(), "$1"))
	busy := map[int64]Busy{}
	err := store.EachRow(ctx, s.DB.Keyed, query, []any{jsonOf(userIDs), s.now()}, func(rows *stdsql.Rows) error {
		var id, none, open, closed int64
		var b Busy
		if err := rows.Scan(&id, &b.Load, &none, &open, &closed, &b.Covered); err != nil {
			return err
		}
		if newest := max(none, open, closed); newest != 0 {
			b.Last = moment(newest)
		}
		busy[id] = b
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("desk: counting what users serve: %w", err)
	}
	return busy, nil
}

// Queued is what waits in a group.
type Queued struct {
	Waiting int
	Oldest  time.Time // since when the contact waits that has waited longest; zero for none
}

// QueuedIn counts contacts that nobody serves, with an open conversation or without one so far, in a group and, if below is
// set, in what is below it, as far as DASHBOARDS_VIEW reaches.
func (s *Service) QueuedIn(ctx context.Context, g *ent.Group, below bool) (q Queued, err error) {
	c, at := sql.Table(contact.Table), sql.Dialect(s.DB.Dialect()).Select(group.FieldID).From(sql.Table(group.Table))
	branch(at, g, below)
	rule.GroupsWith(ctx, authz.DashboardsView)(at)
	query, args := sql.Dialect(s.DB.Dialect()).Select(sql.Count("*"), sql.Min(c.C(contact.FieldSortKey))).From(c).
		Where(sql.And(sql.In(c.C(contact.FieldGroupID), at),
			sql.In(c.C(contact.FieldBox), int(tree.BoxOf(tree.None, false)), int(tree.BoxOf(tree.Open, false))))).Query()
	err = store.EachRow(ctx, s.DB.Read, query, args, func(rows *stdsql.Rows) error {
		var oldest stdsql.NullInt64
		err := rows.Scan(&q.Waiting, &oldest)
		if oldest.Valid {
			q.Oldest = moment(oldest.Int64)
		}
		return err
	})
	if err != nil {
		return Queued{}, fmt.Errorf("desk: counting what waits: %w", err)
	}
	return q, nil
}

// branch narrows a select of groups to one of them, or to it and what is below it.
func branch(groups *sql.Selector, g *ent.Group, below bool) {
	if !below {
		groups.Where(sql.EQ(groups.C(group.FieldID), g.ID))
		return
	}
	from, to := tree.Range(g.Path)
	groups.Where(sql.And(sql.EQ(groups.C(group.FieldAccountID), g.AccountID), sql.GTE(groups.C(group.FieldPath), from), sql.LT(groups.C(group.FieldPath), to)))
}

// HeldByLeavers counts the contacts that the viewer sees and that are assigned to somebody at home in the group, or below
// it, who does not serve any more: deactivated, or without the permission. At most MaxCount.
func (s *Service) HeldByLeavers(ctx context.Context, g *ent.Group, below bool) (int, error) {
	v := authz.FromContext(ctx)
	d := sql.Dialect(s.DB.Dialect())
	homes := func() *sql.Selector {
		groups := d.Select("id").From(sql.Table(group.Table))
		branch(groups, g, below)
		rule.GroupsWith(ctx, authz.AgentPanelView)(groups)
		return groups
	}
	ids, err := s.DB.Read.Contact.Query().Where(func(contacts *sql.Selector) {
		serving := d.Select(user.FieldID).From(sql.Table(user.Table).As("serving"))
		rule.Serving(v.At)(serving.Where(sql.In(serving.C(user.FieldHomeGroupID), homes())))
		leavers := d.Select(user.FieldID).From(sql.Table(user.Table).As("leavers"))
		leavers.Where(sql.And(sql.In(leavers.C(user.FieldHomeGroupID), homes()), sql.NotIn(leavers.C(user.FieldID), serving)))
		contacts.Where(sql.In(contacts.C(contact.FieldAssignedUserID), leavers))
	}).Limit(MaxCount).IDs(ctx)
	if err != nil {
		return 0, fmt.Errorf("desk: counting what leavers hold: %w", err)
	}
	return len(ids), nil
}

// numbersOf selects, as id, the numbers of a parameter, which jsonOf made.
func numbersOf(name, parameter string) string {
	if name == dialect.Postgres {
		return "SELECT CAST(v AS BIGINT) AS id FROM jsonb_array_elements_text(CAST(CAST(" + parameter + " AS TEXT) AS JSONB)) AS v"
	}
	return "SELECT value AS id FROM json_each(" + parameter + ")"
}
