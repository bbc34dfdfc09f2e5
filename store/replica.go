package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/jackc/pgx/v5"
)

// maxStaleness is how far behind the primary a replica may be that is still read from, unless Options say otherwise.
const maxStaleness = 5 * time.Second

// replica is a server that repeats what the primary does, a moment later. Nobody waits for it: it is read from as long
// as it was seen to be fresh enough, and whoever looks after it goes on looking while it is not.
type replica struct {
	conn    sqlConn // for statements
	pool    *sql.DB
	primary *sql.DB
	log     *slog.Logger

	staleness time.Duration
	until     atomic.Pointer[time.Time] // before then it is fresh enough; nil: it is not
	seen      []sighting                // of the primary, oldest first, from the newest one that the replica reached

	mu   sync.Mutex
	said string // last: why it is not read from, or that it is

	stop context.CancelFunc // nil until it is looked after
	done chan struct{}
}

// sighting is a position in the log of the primary at which everything was that had been committed before a moment.
type sighting struct {
	at       time.Time
	position int64
}

// openReplica opens a pool on the replica. It does not connect: a replica that is away is not waited for.
func (db *DB) openReplica() error {
	if db.dialect != dialect.Postgres {
		return errors.New("store: a replica needs a database on PostgreSQL; SQLite has none")
	}
	name, address, err := parseURL(db.options.Replica)
	if err != nil || name != dialect.Postgres {
		return errors.Join(errors.New("store: the address of the replica is not a postgres:// address"), err)
	}
	if err := oneServer(address); err != nil {
		return err
	}
	pool, err := openPostgres(address, reading(customPlans))
	if err != nil {
		return err
	}
	limitPostgres(pool, db.options.Readers, 32)
	db.replica = &replica{
		conn: entsql.OpenDB(db.dialect, pool), pool: pool, primary: db.read, log: db.options.Log,
		staleness: db.options.MaxStaleness, done: make(chan struct{}),
	}
	if db.replica.log == nil {
		db.replica.log = slog.New(slog.DiscardHandler)
	}
	if db.replica.staleness <= 0 {
		db.replica.staleness = maxStaleness
	}
	return nil
}

// start begins to look after the replica, until close.
func (r *replica) start() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.watch(ctx)
}

// oneServer refuses an address of several: what one has repeated says nothing about another.
func oneServer(address string) error {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("store: the address of the replica cannot be read: %w", err)
	}
	for _, other := range config.Fallbacks { // the same server without TLS is one, too
		if other.Host != config.Host || other.Port != config.Port {
			return errors.New("store: the address of the replica names several servers; name one")
		}
	}
	return nil
}

type replicaKey struct{}

// OnReplica returns a context in which DB.Read reads from the replica. It says false, and changes nothing, when there is
// none or it is further behind than the bound; then and otherwise DB.Read reads from the primary.
//
// Rows read this way are as they were a moment ago. Whoever uses it sees to it that this viewer may see them
// nevertheless, and is prepared for the replica to fail. DB.Write never reads from it.
func (db *DB) OnReplica(ctx context.Context) (context.Context, bool) {
	if db.replica == nil || !db.replica.fresh() {
		return ctx, false
	}
	return context.WithValue(ctx, replicaKey{}, db.replica), true
}

// onPrimary takes OnReplica back.
func onPrimary(ctx context.Context) context.Context {
	if ctx.Value(replicaKey{}) == nil {
		return ctx
	}
	return context.WithValue(ctx, replicaKey{}, nil)
}

func (r *replica) fresh() bool {
	until := r.until.Load()
	return until != nil && time.Now().Before(*until)
}

// watch looks after the replica until the context ends.
func (r *replica) watch(ctx context.Context) {
	defer close(r.done)
	tick := time.NewTicker(min(time.Second, r.staleness/5))
	defer tick.Stop()
	for {
		err := r.look(ctx)
		if ctx.Err() != nil {
			return
		}
		r.say(err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// errBehind says that the replica has not repeated what the primary had done a while ago.
var errBehind = errors.New("it is too far behind")

// look compares the positions of the two servers. What the replica has repeated, the primary had done before it was
// asked, whatever their clocks say. It returns why the replica is not to be read from.
func (r *replica) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.staleness)
	defer cancel()
	began := time.Now()
	var primary, copied system
	var position int64
	var repeated sql.NullInt64
	err := r.primary.QueryRowContext(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint, "+identifying).
		Scan(&position, &primary.id, &primary.database, &primary.schema)
	if err != nil {
		return fmt.Errorf("the primary does not say where it is: %w", err)
	}
	err = r.pool.QueryRowContext(ctx, "SELECT CASE WHEN pg_is_in_recovery() THEN "+
		"pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END, "+identifying).
		Scan(&repeated, &copied.id, &copied.database, &copied.schema)
	switch {
	case err != nil:
		r.until.Store(nil)
		return err
	case !repeated.Valid:
		r.until.Store(nil)
		return errors.New("it is not a replica")
	case copied != primary:
		r.until.Store(nil)
		return errors.New("it is the replica of another database")
	}
	r.compare(sighting{began, position}, repeated.Int64)
	if !r.fresh() {
		return errBehind
	}
	return nil
}

// system says which database a server has: replicas share the identifier of their primary.
type system struct{ id, database, schema string }

const identifying = "(SELECT system_identifier::text FROM pg_control_system()), current_database(), COALESCE(current_schema(), '')"

// compare remembers a sighting of the primary, and finds the newest one that the replica has reached.
func (r *replica) compare(now sighting, repeated int64) {
	r.seen = append(r.seen, now)
	for i := len(r.seen) - 1; i >= 0; i-- {
		if r.seen[i].position <= repeated {
			r.until.Store(new(r.seen[i].at.Add(r.staleness)))
			r.seen = r.seen[i:]
			return
		}
	}
	// What is too old already does not help when it is reached.
	for len(r.seen) > 0 && now.at.Sub(r.seen[0].at) > r.staleness {
		r.seen = r.seen[1:]
	}
}

// failed takes note of a statement that the replica did not answer, so that others do not try until it was looked at.
func (r *replica) failed(err error) {
	if Unavailable(err) && !worthRetrying(err) {
		r.until.Store(nil)
		r.say(err)
	}
}

// say logs when the replica begins to be read from, and when not or for another reason than before.
func (r *replica) say(reason error) {
	text := "fresh"
	if reason != nil {
		text = reason.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if text == r.said {
		return
	}
	r.said = text
	if reason == nil {
		r.log.Info("queries may read from the replica")
	} else {
		r.log.Warn("queries do not read from the replica", "reason", reason)
	}
}

func (r *replica) close() error {
	if r.stop != nil {
		r.stop()
		<-r.done
	}
	return r.pool.Close()
}
