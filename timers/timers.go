// Package timers keeps what is due at a moment: rows of (kind, subject, due), written in the transaction of what makes
// them necessary, so that they survive whatever happens to the process. directory and desk set them; desk runs what
// is due (desk.Service.RunDue). It knows nothing of what a kind means.
//
// A timer runs in one transaction with its effect, whatever the number of processes. Its row is written last in every
// transaction, after counters, and in the order of the primary key: whoever holds one therefore waits for nothing but
// those that come after it.
package timers

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect"
)

// Kind is what a timer is for.
type Kind string

// The kinds, and what their subject is.
const (
	OfferEnds   Kind = "OFFER_ENDS"   // a contact: its offer is over
	Distribute  Kind = "DISTRIBUTE"   // a group: what waits there may find an agent now
	Review      Kind = "REVIEW"       // a group: settings that are in force there may have changed
	Escalate    Kind = "ESCALATE"     // a contact: it shows in the queue above
	CloseSilent Kind = "CLOSE_SILENT" // a contact: its conversation may have fallen silent
	HoursBegin  Kind = "HOURS_BEGIN"  // a user: their working hours begin
	SnoozeEnds  Kind = "SNOOZE_ENDS"  // a conversation
	CoverEnds   Kind = "COVER_ENDS"   // a cover
	GrantBegins Kind = "GRANT_BEGINS" // a grant: its holder may serve now
	NoteWords   Kind = "NOTE_WORDS"   // a message: the words of it and of those before it in the account were never noted
)

// Timer is one thing that is to happen. There is one for each kind and subject.
type Timer struct {
	Kind      Kind
	SubjectID int64
	AccountID int64
	Due       time.Time
}

// Pending is a timer as it was found due.
type Pending struct {
	Timer
	setting  int64 // grows whenever it is set, and begins anew when it was taken back before: only with Due it tells settings apart
	failures int   // since it was set
}

// same is the condition that a timer is still as it was found.
const same = "kind = $1 AND subject_id = $2 AND setting = $3 AND due_at = $4"

func (p Pending) same() []any {
	return []any{string(p.Kind), p.SubjectID, p.setting, p.Due.UnixMicro()}
}

// Conn is what the package needs of a database: *ent.Tx, or *ent.Client for reading.
type Conn interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	Dialect() string
}

// Set sets the timers; each replaces the one of its kind and subject. To be called last in a transaction.
func Set(ctx context.Context, c Conn, timers ...Timer) error {
	if len(timers) == 0 {
		return nil
	}
	slices.SortFunc(timers, func(a, b Timer) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.SubjectID, b.SubjectID))
	})
	rows := make([][]any, len(timers))
	for i, t := range timers {
		rows[i] = []any{t.Kind, t.SubjectID, t.AccountID, t.Due.UnixMicro()}
	}
	// WHERE TRUE tells SQLite that ON CONFLICT is no join.
	from := "SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each($1) WHERE TRUE"
	if c.Dialect() == dialect.Postgres {
		from = `SELECT v->>0, CAST(v->>1 AS BIGINT), CAST(v->>2 AS BIGINT), CAST(v->>3 AS BIGINT)
			FROM jsonb_array_elements(CAST($1 AS TEXT)::jsonb) WITH ORDINALITY AS list(v, place) ORDER BY place`
	}
	_, err := c.ExecContext(ctx, "INSERT INTO timers (kind, subject_id, account_id, due_at) "+from+
		" ON CONFLICT (kind, subject_id) DO UPDATE SET due_at = excluded.due_at, setting = timers.setting + 1, failures = 0", text(rows))
	if err != nil {
		return fmt.Errorf("timers: setting %s and %d others: %w", timers[0].Kind, len(timers)-1, err)
	}
	return nil
}

// SetForContacts sets a timer for each contact of a group in the boxes, due so long after its sort key, or when it is due
// already if that is earlier: the contact may be about to go where less time is given. It is one of the last things in a
// transaction, as Set is, and comes before the kinds that follow.
func SetForContacts(ctx context.Context, c Conn, kind Kind, groupID int64, after time.Duration, boxes [2]int) error {
	earlier := "MIN"
	if c.Dialect() == dialect.Postgres {
		earlier = "LEAST"
	}
	_, err := c.ExecContext(ctx, `INSERT INTO timers (kind, subject_id, account_id, due_at)
		SELECT CAST($1 AS TEXT), id, account_id, sort_key + $2 FROM contacts WHERE group_id = $3 AND box IN ($4, $5) ORDER BY id
		ON CONFLICT (kind, subject_id) DO UPDATE SET due_at = `+earlier+`(timers.due_at, excluded.due_at), setting = timers.setting + 1, failures = 0`,
		string(kind), after.Microseconds(), groupID, boxes[0], boxes[1])
	if err != nil {
		return fmt.Errorf("timers: setting %s in group %d: %w", kind, groupID, err)
	}
	return nil
}

// Clear takes a timer back, if it is set. To be called last in a transaction.
func Clear(ctx context.Context, c Conn, kind Kind, subjectID int64) error {
	if _, err := c.ExecContext(ctx, "DELETE FROM timers WHERE kind = $1 AND subject_id = $2", kind, subjectID); err != nil {
		return fmt.Errorf("timers: clearing %s of %d: %w", kind, subjectID, err)
	}
	return nil
}

// Due returns what is due, at most so many, the most overdue first.
func Due(ctx context.Context, c Conn, now time.Time, limit int) ([]Pending, error) {
	return list(ctx, c, "due_at <= $1 ORDER BY due_at, kind, subject_id LIMIT $2", now.UnixMicro(), limit)
}

// Take makes the transaction the only one that runs the timer until it ends. It says no, without waiting, when another one
// runs it, and when it is not as it was found any more. The row itself stays free: whoever holds the contact that the
// timer will have to wait for may still set and clear it.
func Take(ctx context.Context, c Conn, p Pending) (bool, error) {
	if c.Dialect() == dialect.Postgres {
		free := false
		err := each(ctx, c, func(rows *sql.Rows) error { return rows.Scan(&free) },
			"SELECT pg_try_advisory_xact_lock(hashtextextended('canopy.timer.' || current_schema() || '.' || $1, $2))", string(p.Kind), p.SubjectID)
		if err != nil || !free {
			return false, err
		}
	}
	found, err := list(ctx, c, same, p.same()...)
	return len(found) == 1, err
}

// Finish removes a timer that was run, at the end of its transaction. One that was set anew meanwhile stays, to be run
// once more. It says no when the timer was cleared meanwhile: what it did is then to be rolled back.
func Finish(ctx context.Context, c Conn, p Pending) (bool, error) {
	result, err := c.ExecContext(ctx, "DELETE FROM timers WHERE "+same, p.same()...)
	if err != nil {
		return false, fmt.Errorf("timers: finishing %s of %d: %w", p.Kind, p.SubjectID, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return true, err
	}
	found, err := list(ctx, c, "kind = $1 AND subject_id = $2", p.Kind, p.SubjectID)
	return len(found) == 1, err
}

// The pause after a timer failed for the first time; it doubles with each failure, up to the longest.
const (
	firstPause   = time.Second
	longestPause = 10 * time.Minute
)

// PutOff tries a timer that failed again later.
func PutOff(ctx context.Context, c Conn, p Pending, now time.Time) error {
	pause := longestPause
	if p.failures < 10 {
		pause = min(firstPause<<p.failures, longestPause)
	}
	_, err := c.ExecContext(ctx, `UPDATE timers SET due_at = $1, failures = failures + 1
		WHERE kind = $2 AND subject_id = $3 AND setting = $4 AND due_at = $5`, append([]any{now.Add(pause).UnixMicro()}, p.same()...)...)
	if err != nil {
		return fmt.Errorf("timers: putting off %s of %d: %w", p.Kind, p.SubjectID, err)
	}
	return nil
}

func list(ctx context.Context, c Conn, condition string, args ...any) (found []Pending, err error) {
	err = each(ctx, c, func(rows *sql.Rows) error {
		var p Pending
		var due int64
		err := rows.Scan(&p.Kind, &p.SubjectID, &p.AccountID, &due, &p.setting, &p.failures)
		p.Due = time.UnixMicro(due).UTC()
		found = append(found, p)
		return err
	}, "SELECT kind, subject_id, account_id, due_at, setting, failures FROM timers WHERE "+condition, args...)
	return found, err
}

func each(ctx context.Context, c Conn, scan func(*sql.Rows) error, query string, args ...any) (err error) {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("timers: reading: %w", err)
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("timers: reading a row: %w", err)
		}
	}
	return rows.Err()
}

func text(rows [][]any) string {
	text, err := json.Marshal(rows)
	if err != nil {
		panic(err) // names and numbers: it cannot fail
	}
	return string(text)
}
