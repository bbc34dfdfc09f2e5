package directory

import (
	"context"
	"fmt"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/rule"
	"canopy/internal/optional"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// The limits of the settings.
const (
	maxCapacity    = 10_000
	minRadarWindow = 5          // seconds
	maxRadarWindow = 86_400     // seconds, a day
	minPeriod      = 60         // seconds
	maxPeriod      = 31_536_000 // seconds, a year
)

// UpdateGroupSettings is the input of Service.UpdateGroupSettings. What is not set stays; what is cleared is inherited
// again. Periods are in seconds; -1 is an explicit "unlimited" or "never" against what a group above says.
type UpdateGroupSettings struct {
	GroupID        int64
	SharedInbox    optional.Value[bool]
	AssignmentMode optional.Value[group.AssignmentMode]
	Capacity       optional.Value[int]
	RadarWindow    optional.Value[int]
	EscalateAfter  optional.Value[int]
	ReassignAfter  optional.Value[int]
	CloseAfter     optional.Value[int]
}

// UpdateGroupSettings changes what a group says itself. It counts for everything below that says nothing, at once.
func (s *Service) UpdateGroupSettings(ctx context.Context, in UpdateGroupSettings) (*ent.Group, error) {
	var changed *ent.Group
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		g, err := d.group(ctx, in.GroupID)
		if err != nil {
			return err
		}
		if err := d.mayEditSettings(rule.PlaceOf(g)); err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		// Whoever puts a contact into one of the groups by the old settings is done before the new ones are reviewed there.
		if err := tree.CloseDoor(ctx, d.tx, d.account.ID); err != nil {
			return err
		}
		var event audit.Event
		if changed, event, err = d.changeSettings(ctx, g, in); err != nil {
			return err
		}
		if err := d.record(ctx, event); err != nil {
			return err
		}
		return d.reviews(ctx, g.ID)
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

func (d *doing) mayEditSettings(at authz.Place) error {
	return d.may(authz.InboxSettingsEdit, authz.AtGroup(at), "at this group")
}

// settingsUpdated is the action of the audit event of changed settings.
const settingsUpdated = "GROUP_SETTINGS_UPDATED"

// changeSettings writes the settings of a group and returns the event to record.
func (d *doing) changeSettings(ctx context.Context, g *ent.Group, in UpdateGroupSettings) (*ent.Group, audit.Event, error) {
	update := d.tx.Group.UpdateOneID(g.ID)
	in.apply(update.Mutation())
	changed, err := update.Save(ctx)
	if err != nil {
		return nil, audit.Event{}, fmt.Errorf("directory: changing the settings of group %d: %w", g.ID, err)
	}
	return changed, audit.Event{Action: settingsUpdated, TargetKind: relay.KindGroup, TargetID: g.ID,
		Before: in.fields(g), After: in.fields(changed)}, nil
}

func (in UpdateGroupSettings) check() error {
	if in.empty() {
		return nothingToChange()
	}
	if m := in.AssignmentMode.To; m != nil && group.AssignmentModeValidator(*m) != nil {
		return refusal.BadInput("input.assignmentMode", "%q is not an assignment mode.", *m)
	}
	for _, limit := range []struct {
		field       string
		value       *int
		least, most int
		orMinusOne  string
	}{
		{"input.capacity", in.Capacity.To, 1, maxCapacity, "no limit"},
		{"input.radarWindow", in.RadarWindow.To, minRadarWindow, maxRadarWindow, ""},
		{"input.escalateAfter", in.EscalateAfter.To, minPeriod, maxPeriod, "never"},
		{"input.reassignAfter", in.ReassignAfter.To, minPeriod, maxPeriod, "never"},
		{"input.closeAfter", in.CloseAfter.To, minPeriod, maxPeriod, "never"},
	} {
		if limit.value == nil {
			continue
		}
		if err := inRange(limit.field, *limit.value, limit.least, limit.most, limit.orMinusOne); err != nil {
			return err
		}
	}
	return nil
}

func (in UpdateGroupSettings) empty() bool { return len(in.fields(&ent.Group{})) == 0 }

func (in UpdateGroupSettings) apply(m *ent.GroupMutation) {
	set(in.SharedInbox, m.SetSharedInbox, m.ClearSharedInbox)
	set(in.AssignmentMode, m.SetAssignmentMode, m.ClearAssignmentMode)
	set(in.Capacity, m.SetCapacity, m.ClearCapacity)
	set(in.RadarWindow, m.SetRadarWindow, m.ClearRadarWindow)
	set(in.EscalateAfter, m.SetEscalateAfter, m.ClearEscalateAfter)
	set(in.ReassignAfter, m.SetReassignAfter, m.ClearReassignAfter)
	set(in.CloseAfter, m.SetCloseAfter, m.ClearCloseAfter)
}

// set hands on an optional input.
func set[T any](v optional.Value[T], to func(T), clear func()) {
	switch {
	case !v.Set:
	case v.To == nil:
		clear()
	default:
		to(*v.To)
	}
}

// fields are the settings that the input is about, as the group has them.
func (in UpdateGroupSettings) fields(g *ent.Group) audit.Fields {
	f := audit.Fields{}
	for name, setting := range map[string]struct {
		given bool
		value any
	}{
		"sharedInbox":    {in.SharedInbox.Set, g.SharedInbox},
		"assignmentMode": {in.AssignmentMode.Set, g.AssignmentMode},
		"capacity":       {in.Capacity.Set, g.Capacity},
		"radarWindow":    {in.RadarWindow.Set, g.RadarWindow},
		"escalateAfter":  {in.EscalateAfter.Set, g.EscalateAfter},
		"reassignAfter":  {in.ReassignAfter.Set, g.ReassignAfter},
		"closeAfter":     {in.CloseAfter.Set, g.CloseAfter},
	} {
		if setting.given {
			f[name] = setting.value
		}
	}
	return f
}
