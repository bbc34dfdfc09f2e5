package directory

import (
	"context"
	"fmt"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/role"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/internal/hours"
	"canopy/internal/optional"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// UpdateAgentSettings is the input of Service.UpdateAgentSettings. What is nil or not set stays; a capacity that is
// cleared is as the group says.
type UpdateAgentSettings struct {
	AgentID      int64
	Availability *user.Availability
	Capacity     optional.Value[int]
	AccessPaused *bool
	WorkingHours optional.Value[hours.Week] // cleared: always
	Reason       string
}

// UpdateAgentSettings changes how a user works who is an agent and nothing else. Paused access keeps the sessions and
// the contacts, and everything is refused to the user until it is resumed; what is on offer to them is passed on.
func (s *Service) UpdateAgentSettings(ctx context.Context, in UpdateAgentSettings) (*ent.User, error) {
	var changed *ent.User
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		m, err := d.agent(ctx, in.AgentID)
		if err != nil {
			return err
		}
		if err := in.check(); err != nil {
			return err
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		update := d.tx.User.UpdateOneID(m.ID)
		in.apply(d, m, update)
		// Whoever sees the card may change these; the record of the user is not needed for it.
		if changed, err = update.Save(authz.Trusted(ctx)); err != nil {
			return fmt.Errorf("directory: changing the settings of agent %d: %w", m.ID, err)
		}
		if err := s.returned(ctx, d, m.ID, in.Availability); err != nil {
			return err
		}
		err = d.record(ctx, audit.Event{Action: "AGENT_SETTINGS_UPDATED", TargetKind: relay.KindUser, TargetID: m.ID, Reason: reason,
			Before: agentFields(m.User), After: agentFields(changed)})
		if err != nil {
			return err
		}
		if err := d.worksFrom(ctx, changed); err != nil || changed.AccessPausedAt == nil {
			return err
		}
		return d.withdrawOffers(ctx, changed) // a kind of timer that comes after the others
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// returned ends the cover of a user who is available again.
func (s *Service) returned(ctx context.Context, d *doing, userID int64, now *user.Availability) error {
	if now == nil || *now != user.AvailabilityAVAILABLE || s.Handover == nil {
		return nil
	}
	return s.Handover.Return(ctx, d.tx, userID)
}

// agent returns a user whose card the viewer sees and whose settings they may change.
func (d *doing) agent(ctx context.Context, id int64) (member, error) {
	card, err := d.tx.User.Query().Where(user.ID(id)).Only(rule.AsCards(ctx))
	if err != nil {
		return member{}, found(err, "agent")
	}
	m, err := d.withHome(ctx, card)
	if err != nil {
		return member{}, err
	}
	if err := d.may(authz.AgentSettingsEdit, m.target(), "at the home group of this agent"); err != nil {
		return member{}, err
	}
	more, err := d.grants(ctx, rolegrant.UserID(id), rolegrant.HasRoleWith(role.Or(role.KeyIsNil(), role.KeyNEQ(authz.RoleAgent))))
	if err != nil {
		return member{}, err
	}
	if len(more) > 0 {
		return member{}, refusal.Limit("", authz.AgentSettingsEdit, "at an agent who is nothing else",
			"AGENT_SETTINGS_EDIT reaches only users who are agents and nothing else. This user holds, or will hold, another role.",
			"Ask somebody who may assign roles whether the user still needs it.")
	}
	return m, nil
}

func (in UpdateAgentSettings) check() error {
	if in.Availability == nil && !in.Capacity.Set && in.AccessPaused == nil && !in.WorkingHours.Set {
		return nothingToChange()
	}
	if in.Availability != nil && user.AvailabilityValidator(*in.Availability) != nil {
		return refusal.BadInput("input.availability", "%q is not an availability.", *in.Availability)
	}
	if in.Capacity.To != nil {
		if err := inRange("input.capacity", *in.Capacity.To, 1, maxCapacity, "no limit"); err != nil {
			return err
		}
	}
	return checkHours(in.WorkingHours.To)
}

func (in UpdateAgentSettings) apply(d *doing, m member, update *ent.UserUpdateOne) {
	set(in.Capacity, update.Mutation().SetCapacity, update.Mutation().ClearCapacity)
	setHours(in.WorkingHours, update.Mutation())
	if in.Availability != nil {
		update.SetAvailability(*in.Availability)
	}
	switch {
	case in.AccessPaused == nil:
	case !*in.AccessPaused:
		update.ClearAccessPausedAt()
	case m.AccessPausedAt == nil:
		update.SetAccessPausedAt(d.at)
	}
}

func agentFields(u *ent.User) audit.Fields {
	return audit.Fields{"availability": u.Availability, "capacity": u.Capacity, "accessPaused": u.AccessPausedAt != nil,
		"workingHours": u.WorkingHours}
}
