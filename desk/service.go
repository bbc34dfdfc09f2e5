package desk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"
	"canopy/timers"
	"canopy/tree"
)

// Service runs the use-cases. Every method takes its viewer from the context (authz.FromContext).
type Service struct {
	DB  *store.DB
	Now func() time.Time // any precision and zone
}

// now is a moment as the databases keep it: UTC, in whole microseconds.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// job is one use-case under way: its transaction, who does it and its moment.
type job struct {
	desk   *Service
	tx     *ent.Tx
	viewer *authz.Viewer
	// now is taken anew once a contact is locked, so that the moments of what happens to a contact are in order.
	now time.Time
	// hears says that the contact itself wrote: what becomes of it is nobody's doing.
	hears bool
	// reserved is a conversation number that was taken ahead, 0 for none.
	reserved int64
	// scheduled is what finish writes: when a timer is due, nil for one that is cleared.
	scheduled map[timerKey]*time.Time
	running   *timers.Pending // the timer that this is, nil for none
	inForce   map[int64]tree.Settings
	queueOnly bool // what comes to wait stays in the queue
}

func (s *Service) begins(tx *ent.Tx, v *authz.Viewer) *job {
	return &job{desk: s, tx: tx, viewer: v, now: s.now(), scheduled: map[timerKey]*time.Time{}, inForce: map[int64]tree.Settings{}}
}

// author is the user who does it, nil when Canopy does it by itself.
func (j *job) author() *int64 {
	if j.viewer.UserID == 0 {
		return nil
	}
	return &j.viewer.UserID
}

// attempts is how often a use-case is tried that lost a race.
const attempts = 5

// errOvertaken rolls back a use-case that has prepared something by what somebody else changed before it was locked.
var errOvertaken = fmt.Errorf("desk: overtaken: %w", refusal.Conflict("", "Others are changing the same things right now. Try again."))

// write runs a use-case in one transaction. Two that insert the same thing at the same moment (the first message of a
// contact, delivered twice) cannot see each other until one of them has failed; that one runs again and finds what
// the other made. So does one that was overtaken.
func (s *Service) write(ctx context.Context, fn func(ctx context.Context, j *job) error) error {
	v := authz.FromContext(ctx)
	if v == nil {
		return refusal.NoViewer()
	}
	for attempt := 1; ; attempt++ {
		err := s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
			j := s.begins(tx, v)
			if err := fn(ctx, j); err != nil {
				return err
			}
			return j.finish(ctx)
		})
		if err == nil || attempt == attempts || !lostRace(err) {
			return s.unlessOutdated(ctx, v, err)
		}
	}
}

// unlessOutdated returns the error. Who was refused something because their grants, or their home, stood elsewhere when the
// request began is told to try again: a branch is moved, and who works in it waits for that, and sees it where it was.
func (s *Service) unlessOutdated(ctx context.Context, v *authz.Viewer, err error) error {
	var r *refusal.Refusal
	if !errors.As(err, &r) || r.Code != refusal.NotFoundCode && r.Code != refusal.ForbiddenCode || v.UserID == 0 {
		return err
	}
	stood := map[int64]authz.Place{v.Home.GroupID: v.Home}
	for _, g := range v.Grants {
		stood[g.Place.GroupID] = g.Place
	}
	groups, failed := s.DB.Read.Group.Query().Where(group.AccountID(v.AccountID), group.IDIn(slices.Collect(maps.Keys(stood))...)).All(authz.Trusted(ctx))
	if failed != nil {
		return errors.Join(err, failed)
	}
	for _, g := range groups {
		if stood[g.ID] == rule.PlaceOf(g) {
			delete(stood, g.ID)
		}
	}
	if len(stood) > 0 {
		return errOvertaken
	}
	return err
}

func lostRace(err error) bool {
	if errors.Is(err, errOvertaken) {
		return true
	}
	for _, index := range []string{"contact_address", "message_external_id", "conversation_one_open", "assignment_one_current", "cover_one_current"} {
		if store.UniqueViolation(err, index) {
			return true
		}
	}
	return false
}

// record writes what happened to a contact, a conversation or a message.
func (j *job) record(ctx context.Context, action string, kind relay.Kind, id int64, before, after audit.Fields, reason string) error {
	return audit.Record(ctx, j.tx, j.event(action, kind, id, before, after, reason))
}

func (j *job) event(action string, kind relay.Kind, id int64, before, after audit.Fields, reason string) audit.Event {
	e := audit.Event{Action: action, TargetKind: kind, TargetID: id, Reason: reason, At: j.now}
	if before != nil {
		e.Before = before
	}
	if after != nil {
		e.After = after
	}
	return e
}

// ref is how the audit trail names a row: by its id as clients see it, null for none.
func ref(kind relay.Kind, id int64) any {
	if id == 0 {
		return nil
	}
	return relay.NewID(kind, id).String()
}
