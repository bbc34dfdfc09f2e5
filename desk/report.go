package desk

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/predicate"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect"
)

// ReportQuery asks what happened in a group and below it.
type ReportQuery struct {
	GroupID  int64
	From, To time.Time // from inclusive, to exclusive
	Every    Interval
	TimeZone string // by its IANA name
}

// The limits of a report.
const (
	MaxReportRows = 200       // groups below that are named, and agents
	MaxStays      = 2_000_000 // periods in one group with one agent that it is made of
)

// Report is what happened in a group and below it, as far as the viewer sees the groups and ANALYTICS_VIEW reaches them.
// Own, Children and OtherGroups add up to Total.
type Report struct {
	Buckets     []Bucket
	Total       Numbers
	Own         Numbers     // of the group itself
	Children    []NumbersOf // of groups directly below with all below them, the one with most arrivals first
	OtherGroups *Numbers    // of the rest; nil where nothing is left
	Agents      []NumbersOf // of agents whose card the viewer sees, the one who took most first
	OtherAgents *Numbers    // of everybody else together; nil where there is nobody
}

// Bucket is one interval of a report.
type Bucket struct {
	From, To time.Time
	Numbers
}

// NumbersOf are the numbers of one group or user.
type NumbersOf struct {
	ID int64
	Numbers
}

// Numbers are what happened within a time, and how things stood at its end.
type Numbers struct {
	Arrivals      int // conversations that the contact or a user opened
	Taken         int // how often an agent got a conversation
	PassedOn      int // conversations that were closed by passing the contact on
	Closed        int // conversations that were closed otherwise
	Open          int // conversations that were open at the end
	Waiting       int // those of them that had no agent
	FirstResponse Durations
	Resolution    Durations
}

// Durations say how long things took that were done within a time, in whole seconds, rounded down.
type Durations struct {
	Count   int
	Average int // of nothing these are 0
	Median  int // the shortest within which half of them were done
	P90     int // the shortest within which nine of ten were done
}

// GroupReport reports on a group that the viewer sees. It needs ANALYTICS_VIEW there.
func (s *Service) GroupReport(ctx context.Context, q ReportQuery) (*Report, error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return nil, refusal.NoViewer()
	}
	at, err := s.seen(ctx, v, q.GroupID)
	if err != nil {
		return nil, err
	}
	if !v.Can(authz.AnalyticsView, authz.AtGroup(*at)) {
		return nil, refusal.Forbidden(authz.AnalyticsView, "at this group")
	}
	zone, err := zoneOf(q.TimeZone)
	if err != nil {
		return nil, err
	}
	ends, err := cut(q.From, q.To, q.Every, zone)
	if err != nil {
		return nil, err
	}
	groups, err := s.groupsReported(ctx, v, *at)
	if err != nil {
		return nil, err
	}
	l := newLedger(q.From, ends, *at, groups)
	if err := s.eachStay(ctx, l); err != nil {
		return nil, err
	}
	named, err := s.agentsNamed(ctx, v, l)
	if err != nil {
		return nil, err
	}
	return l.report(named), nil
}

// groupsReported finds the groups of a branch that the viewer sees and ANALYTICS_VIEW reaches. What is in others shows in no
// number.
func (s *Service) groupsReported(ctx context.Context, v *authz.Viewer, at authz.Place) ([]*ent.Group, error) {
	from, to := tree.Range(at.Path)
	groups, err := s.DB.Read.Group.Query().
		Where(group.AccountID(v.AccountID), group.PathGTE(from), group.PathLT(to), predicate.Group(rule.GroupsWith(ctx, authz.AnalyticsView))).
		Select(group.FieldID, group.FieldPath, group.FieldNameKey).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: finding the groups of a report: %w", err)
	}
	return groups, nil
}

// eachStay enters into the ledger what was there at its first moment or came until its last one.
func (s *Service) eachStay(ctx context.Context, l *ledger) error {
	query := `SELECT s.group_id, s.agent_id, s.started_at, s.ended_at, s.entered, s.ending, s.begun_at, s.answered_at
		FROM (` + numbersOf(s.DB.Dialect(), "$1") + `) AS w CROSS JOIN stays AS s WHERE s.group_id = w.id AND s.ended_at >= $2 AND s.started_at < $3`
	if s.DB.Dialect() == dialect.Postgres {
		// Each group's range by itself: a join may read the stays of all accounts, when most of what is there is asked for.
		query = `SELECT w.id, s.* FROM (` + numbersOf(s.DB.Dialect(), "$1") + `) AS w CROSS JOIN LATERAL (
			SELECT agent_id, started_at, ended_at, entered, ending, begun_at, answered_at FROM stays
			WHERE group_id = w.id AND ended_at >= $2 AND started_at < $3 OFFSET 0) AS s`
	}
	ids := make([]int64, 0, len(l.rowOf))
	for id := range l.rowOf {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	n := 0
	err := store.EachRow(ctx, s.DB.Read, query, []any{jsonOf(ids), l.from, l.to()}, func(rows *stdsql.Rows) error {
		if n++; n > MaxStays {
			return refusal.BadInput("from", "This is more than a report can hold. Ask for less time, or for a group below.")
		}
		var r record
		var agent, answered stdsql.NullInt64
		if err := rows.Scan(&r.group, &agent, &r.started, &r.ended, &r.entered, &r.ending, &r.begun, &answered); err != nil {
			return err
		}
		r.agent, r.answered = agent.Int64, math.MinInt64
		if answered.Valid {
			r.answered = answered.Int64
		}
		l.enter(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("desk: reading stays: %w", err)
	}
	return nil
}

// agentsNamed returns those agents of the ledger whose card the viewer sees and who took most.
func (s *Service) agentsNamed(ctx context.Context, v *authz.Viewer, l *ledger) (map[int64]bool, error) {
	named := map[int64]bool{}
	for ids := range slices.Chunk(l.agentsByTaken(), 5*MaxReportRows) {
		seen, err := s.DB.Read.User.Query().Where(user.AccountID(v.AccountID), user.IDIn(ids...)).IDs(rule.AsCards(ctx))
		if err != nil {
			return nil, fmt.Errorf("desk: finding the agents of a report: %w", err)
		}
		for _, id := range ids {
			if slices.Contains(seen, id) && len(named) < MaxReportRows {
				named[id] = true
			}
		}
		if len(named) == MaxReportRows {
			break
		}
	}
	return named, nil
}
