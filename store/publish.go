package store

import (
	"context"
	"sync"
	"time"

	"entgo.io/ent/dialect"
	"github.com/jackc/pgx/v5"
)

// channel is where processes tell each other on PostgreSQL that something was published. What it was stands in the
// database; a notification that is lost delays it until somebody looks.
const channel = "canopy_events"

const (
	notifyTimeout = 5 * time.Second // for telling the other processes
	reconnect     = time.Second     // before a connection that was lost is made again
)

// publishing is who in this process wants to hear that something was published, and on PostgreSQL what tells the other
// processes.
type publishing struct {
	mu      sync.Mutex
	next    int
	waiting map[int]func()

	others chan struct{} // nil where there are no other processes to tell
	ended  chan struct{}
}

// OnPublish calls woken after every transaction of this process that had an ending, until stop is called. It must return
// at once.
func (db *DB) OnPublish(woken func()) (stop func()) {
	p := &db.publishing
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[int]func(){}
	}
	key := p.next
	p.next++
	p.waiting[key] = woken
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.waiting, key)
	}
}

func (p *publishing) published() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, woken := range p.waiting {
		woken()
	}
	select {
	case p.others <- struct{}{}:
	default: // they are about to be told, or there are none
	}
}

// startPublishing begins to tell other processes. It is done beside the transactions and not in them: PostgreSQL lets those
// that notify commit one after the other, in all accounts.
func (db *DB) startPublishing() {
	if db.dialect != dialect.Postgres {
		return
	}
	p := &db.publishing
	p.others, p.ended = make(chan struct{}, 1), make(chan struct{})
	go func(others <-chan struct{}) {
		defer close(p.ended)
		for range others {
			ctx, cancel := context.WithTimeout(context.Background(), notifyTimeout)
			_, _ = db.write.ExecContext(ctx, "SELECT pg_notify($1, '')", channel) // lost: the others look by themselves
			cancel()
		}
	}(p.others)
}

func (db *DB) stopPublishing() {
	p := &db.publishing
	p.mu.Lock()
	others := p.others
	p.others = nil
	p.mu.Unlock()
	if others != nil {
		close(others)
		<-p.ended
	}
}

// Listen calls woken when another process may have published something, until ctx ends. On PostgreSQL it keeps a
// connection of its own for that and makes it again when it is lost; on SQLite nobody tells, and it only waits.
func (db *DB) Listen(ctx context.Context, woken func()) {
	for db.dialect == dialect.Postgres && ctx.Err() == nil {
		db.listen(ctx, woken)
		select {
		case <-ctx.Done():
		case <-time.After(reconnect):
		}
	}
	<-ctx.Done()
}

// listen returns when the connection cannot be made or is lost.
func (db *DB) listen(ctx context.Context, woken func()) {
	config, err := postgresConfig(db.options.URL, nil)
	if err != nil {
		return
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), notifyTimeout)
		defer cancel()
		_ = c.Close(closing)
	}()
	if _, err := c.Exec(ctx, "LISTEN "+channel); err != nil {
		return
	}
	woken() // what was published before is not told any more
	for {
		if _, err := c.WaitForNotification(ctx); err != nil {
			return
		}
		woken()
	}
}
