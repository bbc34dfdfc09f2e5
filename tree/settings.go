package tree

import (
	"context"
	"database/sql"
	"fmt"

	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
)

// Unlimited and Never are explicit values that stand against an ancestor's: Unlimited of Capacity, Never of
// EscalateAfter, ReassignAfter and CloseAfter.
const (
	Unlimited = -1
	Never     = -1
)

// The defaults, where no group sets anything. Capacity is Unlimited and the three periods are Never.
const (
	defaultMode        = group.AssignmentModeROUND_ROBIN
	defaultRadarWindow = 120
)

// Setting is the value of one setting that is in force at a group.
type Setting[T any] struct {
	Value T
	// SetBy is the group that decided it: the group itself or the nearest above it that sets it; 0 for the default.
	SetBy int64
}

// Settings are all that are in force at a group.
type Settings struct {
	SharedInbox    Setting[bool]
	AssignmentMode Setting[group.AssignmentMode]
	Capacity       Setting[int] // open conversations of an agent; Unlimited
	RadarWindow    Setting[int] // seconds
	EscalateAfter  Setting[int] // seconds; Never
	ReassignAfter  Setting[int] // seconds; Never
	CloseAfter     Setting[int] // seconds; Never
}

// Resolve returns the settings in force at the last group of a chain that leads down from the root.
func Resolve(chain []*ent.Group) Settings {
	s := Settings{
		AssignmentMode: Setting[group.AssignmentMode]{Value: defaultMode},
		Capacity:       Setting[int]{Value: Unlimited},
		RadarWindow:    Setting[int]{Value: defaultRadarWindow},
		EscalateAfter:  Setting[int]{Value: Never},
		ReassignAfter:  Setting[int]{Value: Never},
		CloseAfter:     Setting[int]{Value: Never},
	}
	for _, g := range chain {
		s.SharedInbox.override(g.ID, g.SharedInbox)
		s.AssignmentMode.override(g.ID, g.AssignmentMode)
		s.Capacity.override(g.ID, g.Capacity)
		s.RadarWindow.override(g.ID, g.RadarWindow)
		s.EscalateAfter.override(g.ID, g.EscalateAfter)
		s.ReassignAfter.override(g.ID, g.ReassignAfter)
		s.CloseAfter.override(g.ID, g.CloseAfter)
	}
	return s
}

func (s *Setting[T]) override(by int64, value *T) {
	if value != nil {
		*s = Setting[T]{Value: *value, SetBy: by}
	}
}

// SettingsOf returns the settings in force at each of the groups, by one statement for any number of them. It reads
// settings of groups above that the viewer may not see; who shows SetBy has to look whether they may. Of the given
// groups it uses id, account and path.
func SettingsOf(ctx context.Context, c Conn, groups []*ent.Group) (map[int64]Settings, error) {
	var ids, accounts []int64
	known := map[int64]*ent.Group{}
	for _, g := range groups {
		accounts = append(accounts, g.AccountID)
		for _, id := range IDs(g.Path) {
			if _, ok := known[id]; !ok {
				known[id] = nil
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return map[int64]Settings{}, nil
	}
	err := collect(ctx, c, func(rows *sql.Rows) error {
		var g ent.Group
		err := rows.Scan(&g.ID, &g.SharedInbox, &g.AssignmentMode, &g.Capacity, &g.RadarWindow, &g.EscalateAfter, &g.ReassignAfter, &g.CloseAfter)
		known[g.ID] = &g
		return err
	}, `SELECT id, shared_inbox, assignment_mode, capacity, radar_window, escalate_after, reassign_after, close_after
		FROM groups WHERE account_id IN `+idsOf(c, "$1")+" AND id IN "+idsOf(c, "$2"), jsonOf(accounts), jsonOf(ids))
	if err != nil {
		return nil, fmt.Errorf("loading settings: %w", err)
	}
	settings := make(map[int64]Settings, len(groups))
	for _, g := range groups {
		var chain []*ent.Group
		for _, id := range IDs(g.Path) {
			if above := known[id]; above != nil {
				chain = append(chain, above)
			}
		}
		settings[g.ID] = Resolve(chain)
	}
	return settings, nil
}
