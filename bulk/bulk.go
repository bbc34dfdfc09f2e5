// Package bulk moves many groups, users and contacts in and out: it reads and writes CSV and JSON Lines, and takes
// records in by batches, each of them one transaction.
//
// The rules are not here: a batch goes through directory and desk, which check every row as they check a single change
// and record it likewise. Nobody can import what they could not have created one by one.
package bulk

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/refusal"
	"canopy/store"

	"entgo.io/ent/dialect"
)

// Service imports and exports. Every method takes its viewer from the context (authz.FromContext).
type Service struct {
	DB        *store.DB
	Directory *directory.Service
	Desk      *desk.Service
	Now       func() time.Time // any precision and zone
}

// Import says what is imported, and how.
type Import struct {
	Kind   Kind
	Reason string // recorded with every change; some accounts require one
	// DryRun evaluates every row and writes nothing.
	DryRun bool
	// Fingerprint names the input, at most 64 characters. With one, progress is kept in the transaction of each batch:
	// an import that was interrupted goes on behind its last batch, and one that was finished is refused unless it
	// shall run Again. Without one the import begins at the first record.
	Fingerprint string
	Again       bool
	// AtOnce takes all records, MaxAtOnce at most, into one transaction: all of them are in, but for those refused, or none.
	AtOnce bool
	// Done hears of each row once it is in the database, in order; rows that an earlier run has done are left out. An
	// error ends the import.
	Done func(Row) error
	// Batch hears after each batch how far the import has come.
	Batch func(Summary)
}

// Status is what became of a row.
type Status string

// The statuses.
const (
	Created Status = "CREATED" // in a dry run: would be created
	Existed Status = "EXISTS"  // was there already, and stays as it is
	Refused Status = "REFUSED"
)

// Row is what became of one record.
type Row struct {
	Record     Record
	Status     Status
	ID         int64            // of what was made or is there; 0 in a dry run, and for what earlier rows would make
	SetupToken string           // with which a new user sets a password; it is nowhere else
	Refusal    *refusal.Refusal // of a refused row; its field is the column
}

// Summary counts what became of the records, those of earlier runs of the same file included.
type Summary struct {
	Rows, Created, Existed, Refused int64
	Resumed                         int64 // records that an earlier run had done
}

// MaxAtOnce is how many records are taken in at once at most.
const MaxAtOnce = 1000

// The sizes of batches.
const (
	firstBatch = 100
	maxBatch   = 1000
	minBatch   = 10
	// A batch keeps all other writers of an SQLite database waiting; on PostgreSQL only those who move groups, or, for
	// users, change users and roles.
	sqliteTime   = 60 * time.Millisecond
	postgresTime = 250 * time.Millisecond
	// breath is the pause after a batch on SQLite: a writer of another process looks every 25 ms, at first, whether it
	// can begin.
	breath = 30 * time.Millisecond
)

// Import takes the records in, in their order, and returns what became of them. A record that is refused is told to
// Done and does not stop the others. The errors are refusals that concern the import as a whole (no viewer, no reason
// where one is wanted, finished before, under way elsewhere), an error of the records, and those of the database; what
// was committed before stays.
func (s *Service) Import(ctx context.Context, in Import, records iter.Seq2[Record, error]) (Summary, error) {
	if authz.FromContext(ctx) == nil {
		return Summary{}, refusal.NoViewer()
	}
	r := &run{s: s, in: in, size: firstBatch}
	if in.AtOnce {
		r.size = MaxAtOnce + 1
	}
	if in.DryRun {
		r.directoryPlan, r.deskPlan = directory.NewPlan(), desk.NewPlan()
	}
	if err := r.open(ctx); err != nil {
		return r.sum, err
	}
	skip := r.sum.Resumed
	var batch []Record
	for record, err := range records {
		if err != nil {
			return r.sum, err
		}
		if skip > 0 {
			skip--
			continue
		}
		if batch = append(batch, record); len(batch) < r.size {
			continue
		}
		if in.AtOnce {
			return r.sum, refusal.BadInput("data", "These are more than %d records. Send fewer at once, or use the command canopy import.", MaxAtOnce)
		}
		if err := r.take(ctx, batch); err != nil {
			return r.sum, err
		}
		batch = batch[:0]
	}
	if err := r.take(ctx, batch); err != nil {
		return r.sum, err
	}
	return r.sum, r.close(ctx)
}

// run is an import under way.
type run struct {
	s             *Service
	in            Import
	id            int64 // of the row that keeps the progress; 0 when there is none
	sum           Summary
	size          int
	analyzed      int64 // rows that had been created when the tables were analyzed last
	directoryPlan *directory.Plan
	deskPlan      *desk.Plan
}

// races is how often a batch is tried whose rows somebody else was creating at the same moment. The loser sees them
// the next time.
const races = 5

// take runs one batch and tells what became of its rows.
func (r *run) take(ctx context.Context, batch []Record) error {
	if len(batch) == 0 {
		return nil
	}
	began := time.Now()
	var rows []Row
	var sum Summary
	var err error
	for range races {
		err = r.s.DB.Write(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
			if rows, err = r.batch(ctx, tx, batch); err != nil {
				return err
			}
			sum = r.sum.plus(rows)
			return r.keep(ctx, tx, sum)
		})
		if !lostRace(err) {
			break
		}
	}
	if err != nil {
		return err
	}
	r.sum = sum
	if err := r.analyze(ctx); err != nil {
		return err
	}
	r.adapt(len(batch), time.Since(began))
	for _, row := range rows {
		if r.in.Done == nil {
			break
		}
		if err := r.in.Done(row); err != nil {
			return err
		}
	}
	if r.in.Batch != nil {
		r.in.Batch(sum)
	}
	return r.breathe(ctx)
}

// analyzeFirst is after how many created rows an import has the tables analyzed; it does so again each time that it has
// created ten times as many.
const analyzeFirst = 500

func (r *run) analyze(ctx context.Context) error {
	if r.in.AtOnce || r.in.DryRun || r.sum.Created < max(analyzeFirst, 10*r.analyzed) {
		return nil
	}
	r.analyzed = r.sum.Created
	return r.s.DB.Analyze(ctx)
}

func lostRace(err error) bool {
	return slices.ContainsFunc([]string{"group_sibling_name", "user_email", "contact_address"}, func(index string) bool {
		return store.UniqueViolation(err, index)
	})
}

// adapt chooses the size of the next batch so that it takes the time meant for it.
func (r *run) adapt(n int, took time.Duration) {
	if r.in.AtOnce {
		return
	}
	aim := postgresTime
	if r.s.DB.Dialect() == dialect.SQLite {
		aim = sqliteTime
	}
	fits := int(float64(n) * float64(aim) / float64(max(took, time.Microsecond)))
	r.size = min(max(fits, minBatch), 2*r.size, maxBatch)
}

// breathe lets others write.
func (r *run) breathe(ctx context.Context) error {
	if r.in.AtOnce || r.in.DryRun || r.s.DB.Dialect() != dialect.SQLite {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(breath):
		return nil
	}
}

func (s Summary) plus(rows []Row) Summary {
	for _, row := range rows {
		s.Rows++
		switch row.Status {
		case Created:
			s.Created++
		case Existed:
			s.Existed++
		case Refused:
			s.Refused++
		}
	}
	return s
}

// batch evaluates the records in the transaction and, but in a dry run, writes them.
func (r *run) batch(ctx context.Context, tx *ent.Tx, batch []Record) ([]Row, error) {
	ctx, b, err := r.s.Directory.BeginBatch(ctx, tx, r.in.Kind == Users, r.in.Reason, r.directoryPlan)
	if err != nil {
		return nil, err
	}
	rows, good, at := make([]Row, len(batch)), []Record{}, []int{}
	for i, record := range batch {
		rows[i].Record = record
		if err := record.check(r.in.Kind); err != nil {
			if err := rows[i].refuse(err); err != nil {
				return nil, err
			}
			continue
		}
		good, at = append(good, record), append(at, i)
	}
	var done []Row
	switch r.in.Kind {
	case Groups:
		done, err = groups(ctx, b, good)
	case Users:
		done, err = users(ctx, b, good)
	case Contacts:
		done, err = r.contacts(ctx, tx, b, good)
	default:
		err = fmt.Errorf("bulk: %q is not a kind of records", r.in.Kind)
	}
	if err != nil {
		return nil, err
	}
	for i, row := range done {
		row.Record = good[i]
		rows[at[i]] = row
	}
	return rows, nil
}

// refuse makes it a refused row. The field is the column: use-cases call it input.name. An error that is no refusal is
// nothing about the row, and is returned.
func (r *Row) refuse(err error) error {
	var why *refusal.Refusal
	if !errors.As(err, &why) {
		return err
	}
	field := strings.TrimPrefix(why.Field, "input.")
	*r = Row{Record: r.Record, Status: Refused, Refusal: why.At(field)}
	return nil
}

// row is what became of a record for which the use-case answered so.
func row(id int64, existed bool, refused error) (r Row, err error) {
	switch {
	case refused != nil:
		err = r.refuse(refused)
	case existed:
		r = Row{Status: Existed, ID: id}
	default:
		r = Row{Status: Created, ID: id}
	}
	return r, err
}

func groups(ctx context.Context, b *directory.Batch, records []Record) ([]Row, error) {
	in := make([]directory.ImportGroup, len(records))
	for i, r := range records {
		in[i] = r.Group.input()
	}
	done, err := b.ImportGroups(ctx, in)
	if err != nil {
		return nil, err
	}
	return rowsOf(done)
}

func users(ctx context.Context, b *directory.Batch, records []Record) ([]Row, error) {
	in := make([]directory.ImportUser, len(records))
	for i, r := range records {
		in[i] = r.User.input()
	}
	done, err := b.ImportUsers(ctx, in)
	if err != nil {
		return nil, err
	}
	return rowsOf(done)
}

func rowsOf(done []directory.Imported) (rows []Row, err error) {
	rows = make([]Row, len(done))
	for i, d := range done {
		if rows[i], err = row(d.ID, d.Existed, d.Refused); err != nil {
			return nil, err
		}
		rows[i].SetupToken = d.SetupToken
	}
	return rows, nil
}

func (r *run) contacts(ctx context.Context, tx *ent.Tx, b *directory.Batch, records []Record) ([]Row, error) {
	paths, emails := make([][]string, len(records)), []string{}
	for i, record := range records {
		paths[i] = record.Contact.Group
		if record.Contact.Agent != "" {
			emails = append(emails, record.Contact.Agent)
		}
	}
	places, missing, err := b.Groups(ctx, "group", paths)
	if err != nil {
		return nil, err
	}
	agents, err := b.Users(ctx, emails)
	if err != nil {
		return nil, err
	}
	in := make([]desk.ImportContact, len(records))
	for i, record := range records {
		in[i] = record.Contact.input()
		in[i].At, in[i].Refused = places[i], missing[i]
		if email := record.Contact.Agent; email != "" {
			id := agents[directory.EmailKey(email)] // 0, which nobody has, is not found
			in[i].AgentID = &id
		}
	}
	done, err := r.s.Desk.ImportContacts(ctx, tx, in, r.in.Reason, r.deskPlan)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(done))
	for i, d := range done {
		if rows[i], err = row(d.ID, d.Existed, d.Refused); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// writable says that both databases can keep the text.
func writable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
