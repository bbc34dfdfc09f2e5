package directory

import (
	"context"
	"fmt"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/internal/hours"
	"canopy/internal/optional"
	"canopy/refusal"
	"canopy/timers"
	"canopy/tree"
)

// What changes here and lets contacts that wait be given out by desk: it is told by timers that are due at once.

// givesOut lets what waits where the user is at home be given out: they may have got room.
func givesOut(ctx context.Context, tx *ent.Tx, u *ent.User, at time.Time) error {
	return timers.Set(ctx, tx, timers.Timer{Kind: timers.Distribute, SubjectID: u.HomeGroupID, AccountID: u.AccountID, Due: at})
}

// withdrawOffers lets what is on offer to a user who was just shut out be passed on at once.
func (d *doing) withdrawOffers(ctx context.Context, u *ent.User) error {
	ids, err := d.tx.Contact.Query().Where(contact.AccountID(d.account.ID), contact.OfferedToID(u.ID)).IDs(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("directory: finding what is on offer to user %d: %w", u.ID, err)
	}
	due := make([]timers.Timer, len(ids))
	for i, id := range ids {
		due[i] = timers.Timer{Kind: timers.OfferEnds, SubjectID: id, AccountID: d.account.ID, Due: d.at}
	}
	return timers.Set(ctx, d.tx, due...)
}

// givesOutTo lets what waits be given out where those are at home who hold the grants, once these are in force: they may serve then.
func (d *doing) givesOutTo(ctx context.Context, grants []*ent.RoleGrant) error {
	due := make([]timers.Timer, len(grants))
	for i, g := range grants {
		at := d.at
		if g.ValidFrom.After(at) {
			at = g.ValidFrom
		}
		due[i] = timers.Timer{Kind: timers.GrantBegins, SubjectID: g.ID, AccountID: d.account.ID, Due: at}
	}
	return timers.Set(ctx, d.tx, due...)
}

// reviews lets the settings in force at the group and everywhere below be applied to what is there. They may be others now.
func (d *doing) reviews(ctx context.Context, groupID int64) error {
	g, err := d.anyGroup(ctx, groupID)
	if err != nil {
		return err
	}
	from, to := tree.Range(g.Path)
	ids, err := d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.PathGTE(from), group.PathLT(to)).IDs(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("directory: finding the groups below group %d: %w", groupID, err)
	}
	due := make([]timers.Timer, len(ids))
	for i, id := range ids {
		due[i] = timers.Timer{Kind: timers.Review, SubjectID: id, AccountID: d.account.ID, Due: d.at}
	}
	return timers.Set(ctx, d.tx, due...)
}

// worksFrom lets what waits be given out now, and whenever the working hours of the user begin.
func (d *doing) worksFrom(ctx context.Context, u *ent.User) error {
	if err := givesOut(ctx, d.tx, u, d.at); err != nil { // its kind comes first: see package timers
		return err
	}
	next, some := u.WorkingHours.Next(d.at)
	if !some {
		return timers.Clear(ctx, d.tx, timers.HoursBegin, u.ID)
	}
	return timers.Set(ctx, d.tx, timers.Timer{Kind: timers.HoursBegin, SubjectID: u.ID, AccountID: d.account.ID, Due: next})
}

func setHours(v optional.Value[hours.Week], m *ent.UserMutation) {
	switch {
	case !v.Set:
	case v.To == nil:
		m.ClearWorkingHours()
	default:
		m.SetWorkingHours(v.To)
	}
}

// maxShifts is how many shifts a week has at most.
const maxShifts = 50

// checkHours refuses working hours that are none; nil are all hours.
func checkHours(w *hours.Week) error {
	if w == nil {
		return nil
	}
	if _, err := hours.Zone(w.TimeZone); err != nil {
		return refusal.BadInput("input.workingHours.timeZone", "%q is not the name of a time zone. One looks like Europe/Lisbon.", w.TimeZone)
	}
	if len(w.Shifts) > maxShifts {
		return refusal.BadInput("input.workingHours.shifts", "A week has at most %d shifts.", maxShifts)
	}
	for i, s := range w.Shifts {
		if s.Day < time.Sunday || s.Day > time.Saturday || s.Start < 0 || s.Start >= 24*60 || s.End <= 0 || s.End > 24*60 || s.Start == s.End {
			return refusal.BadInput(fmt.Sprintf("input.workingHours.shifts.%d", i),
				"A shift begins between 00:00 and 23:59 and ends between 00:01 and 24:00, at another time.")
		}
	}
	return nil
}
