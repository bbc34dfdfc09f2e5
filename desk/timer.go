package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/timers"
)

// handler does what is to happen when a timer of its kind is due. It runs as Canopy itself: it sees everything of the
// account and nobody is the author of what it does. It locks its subject first and then judges by what it finds, whether
// there is still anything to do: the timer may be late, the subject gone or changed.
type handler func(ctx context.Context, j *job, subjectID int64) error

// handlers is the one table of what timers do.
func handlers() map[timers.Kind]handler {
	return map[timers.Kind]handler{
		timers.OfferEnds:   offerEnds,
		timers.Distribute:  distribute,
		timers.Review:      review,
		timers.Escalate:    escalate,
		timers.CloseSilent: closeSilent,
		timers.HoursBegin:  hoursBegin,
		timers.CoverEnds:   coverEnds,
		timers.SnoozeEnds:  snoozeEnds,
		timers.GrantBegins: grantBegins,
		timers.NoteWords:   noteWords,
	}
}

// schedule lets the handler of the kind run for the subject once the moment has come, at the end of the transaction. It
// replaces what was scheduled before for the same subject.
func (j *job) schedule(kind timers.Kind, subjectID int64, due time.Time) {
	j.scheduled[timerKey{kind, subjectID}] = &due
}

// unschedule takes back what was scheduled.
func (j *job) unschedule(kind timers.Kind, subjectID int64) {
	j.scheduled[timerKey{kind, subjectID}] = nil
}

type timerKey struct {
	kind    timers.Kind
	subject int64
}

// errCleared rolls back what a timer did that was cleared while it ran.
var errCleared = errors.New("desk: the timer was cleared")

// finish writes what was scheduled. It comes last in every transaction, and goes through timers in the order in which
// everybody locks them (see package timers).
func (j *job) finish(ctx context.Context) error {
	keys, running := slices.Collect(maps.Keys(j.scheduled)), timerKey{}
	if p := j.running; p != nil {
		running = timerKey{p.Kind, p.SubjectID}
		keys = append(keys, running)
	}
	slices.SortFunc(keys, func(a, b timerKey) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject)) })
	var set []timers.Timer
	for _, key := range slices.Compact(keys) {
		due, scheduled := j.scheduled[key]
		if key == running || due == nil { // each by a statement of its own
			if err := timers.Set(ctx, j.tx, set...); err != nil {
				return err
			}
			set = nil
		}
		if key == running {
			if err := j.finishRunning(ctx); err != nil {
				return err
			}
		}
		switch {
		case due != nil:
			set = append(set, timers.Timer{Kind: key.kind, SubjectID: key.subject, AccountID: j.viewer.AccountID, Due: *due})
		case scheduled:
			if err := timers.Clear(ctx, j.tx, key.kind, key.subject); err != nil {
				return err
			}
		}
	}
	return timers.Set(ctx, j.tx, set...)
}

// finishRunning takes the timer away that this is.
func (j *job) finishRunning(ctx context.Context) error {
	there, err := timers.Finish(ctx, j.tx, *j.running)
	if err == nil && !there {
		return errCleared
	}
	return err
}

// dueAtOnce is how many timers are looked up at once.
const dueAtOnce = 100

// lookForTimers is how often RunTimers looks for what has become due.
const lookForTimers = time.Second

// RunTimers runs what is due until the context ends. Any number of processes may do it. Errors are reported, and what
// failed is tried again.
func (s *Service) RunTimers(ctx context.Context, report func(error)) {
	look := time.NewTicker(lookForTimers)
	defer look.Stop()
	for {
		if _, err := s.RunDue(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// RunDue runs what is due in all accounts, and returns how many timers it ran. Each has a transaction of its own, and
// happens once, whatever the number of processes. One that fails is put off, each time for longer, and keeps no other
// from running; the error tells of all that failed.
func (s *Service) RunDue(ctx context.Context) (n int, err error) {
	for {
		due, failed := timers.Due(ctx, s.DB.Read, s.now(), dueAtOnce)
		if failed != nil {
			return n, errors.Join(err, failed)
		}
		ran := 0
		for _, p := range due {
			done, failed := s.runTimer(ctx, p)
			switch {
			case ctx.Err() != nil:
				return n + ran, errors.Join(err, ctx.Err())
			case failed != nil:
				err = errors.Join(err, fmt.Errorf("desk: timer %s of %d: %w", p.Kind, p.SubjectID, failed))
			case done:
				ran++
			}
		}
		n += ran
		// What was set for this very moment meanwhile waits for the next look, so that nothing can spin.
		if len(due) < dueAtOnce || ran == 0 {
			return n, err
		}
	}
}

// runTimer runs one timer. It says no when there was nothing to do, because another process runs it, or it was cleared.
func (s *Service) runTimer(ctx context.Context, p timers.Pending) (ran bool, err error) {
	handle, known := handlers()[p.Kind]
	if !known {
		return false, s.putOff(ctx, p, errors.New("nothing handles it: a newer version set it"))
	}
	ctx = authz.NewContext(authz.Trusted(ctx), &authz.Viewer{AccountID: p.AccountID, At: s.now()})
	err = s.write(ctx, func(ctx context.Context, j *job) (err error) {
		if ran, err = timers.Take(ctx, j.tx, p); err != nil || !ran {
			return err
		}
		j.running = &p
		return handle(ctx, j, p.SubjectID)
	})
	switch {
	case errors.Is(err, errCleared):
		return false, nil
	case err != nil:
		return false, s.putOff(ctx, p, err)
	}
	return ran, nil
}

func (s *Service) putOff(ctx context.Context, p timers.Pending, because error) error {
	return errors.Join(because, s.DB.Write(authz.Trusted(ctx), func(ctx context.Context, tx *ent.Tx) error {
		return timers.PutOff(ctx, tx, p, s.now())
	}))
}
