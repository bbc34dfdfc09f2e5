package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/rule"
	"canopy/tree"

	"golang.org/x/sync/errgroup"
)

// check asks a loaded viewer for a permission at a group.
func (s measuring) check(ctx context.Context, d *dataset) ([]row, error) {
	viewing, err := d.as(ctx, scattered)
	if err != nil {
		return nil, err
	}
	cold, err := d.cold(ctx)
	if err != nil {
		return nil, err
	}
	v, at := authz.FromContext(viewing), authz.AtGroup(rule.PlaceOf(cold))
	ask := func() { v.Can(authz.GroupsView, at) }
	d.counter.Store(0)
	allocated := testing.AllocsPerRun(1000, ask)
	took := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			ask()
		}
	})
	note := fmt.Sprintf("%d statements, %.0f allocations, %s with 20 grants", d.counter.Load(), allocated, short(time.Duration(took.NsPerOp())))
	return []row{{figure: "check, viewer loaded", layer: "authz", size: d.name, note: note}}, nil
}

// together says how those who read and write at the same time get along.
func (s measuring) together(ctx context.Context, d *dataset) ([]row, error) {
	if d.postgres() {
		return s.writersOfOneAccount(ctx, d)
	}
	return s.writersBesideReaders(ctx, d)
}

// writersBesideReaders lets 4 readers page through the inbox while 4 writers open and close conversations.
func (s measuring) writersBesideReaders(ctx context.Context, d *dataset) ([]row, error) {
	viewing, err := d.as(ctx, atRoot)
	if err != nil {
		return nil, err
	}
	toggles, err := d.toggles(ctx, 4)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.watch.most)
	defer cancel()
	var g errgroup.Group
	var mu sync.Mutex
	var reads []time.Duration
	writes := 0
	for _, t := range toggles {
		g.Go(func() error {
			n, err := t.until(ctx, d, counted)
			mu.Lock()
			defer mu.Unlock()
			writes += n
			return err
		})
		g.Go(func() error {
			var times []time.Duration
			for len(times) == 0 || ctx.Err() == nil {
				began := time.Now()
				if _, err := inbox(viewing, d, nil); err != nil {
					return err
				}
				times = append(times, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			reads = append(reads, times...)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("4 writers beside 4 readers: %w", err)
	}
	p99 := percentile(reads, 99)
	r := row{figure: "4 writers + 4 readers: p99 of an inbox page", layer: "store", size: d.name, real: short(p99),
		floor: fmt.Sprintf("%.0f writes/s, %.0f reads/s, no error", float64(writes)/s.watch.most.Seconds(), float64(len(reads))/s.watch.most.Seconds()),
		found: float64(p99) / 1e6, target: 3}
	return []row{r}, nil
}

// writersOfOneAccount lets 8 writers open and close conversations, which counts at every group above up to the root
// that they share, in turns with and without the counters.
func (s measuring) writersOfOneAccount(ctx context.Context, d *dataset) ([]row, error) {
	toggles, err := d.toggles(ctx, 8)
	if err != nil {
		return nil, err
	}
	before, err := d.deadlocks(ctx)
	if err != nil {
		return nil, err
	}
	var rates [2][]time.Duration // per write
	for range 5 {
		for i, conn := range []func(tree.Conn) tree.Conn{
			counted,
			func(c tree.Conn) tree.Conn { return uncounted{c} },
		} {
			writes, err := race(ctx, d, toggles, s.watch.most/5, conn)
			if err != nil {
				return nil, fmt.Errorf("8 writers of one account: %w", err)
			}
			rates[i] = append(rates[i], s.watch.most/5/time.Duration(max(writes, 1)))
		}
	}
	after, err := d.deadlocks(ctx)
	if err != nil {
		return nil, err
	}
	with, without := median(rates[0]), median(rates[1])
	r := row{figure: fmt.Sprintf("8 writers of one account, %d deadlocks", after-before), layer: "tree", size: d.name,
		real: perSecond(with), floor: perSecond(without), found: float64(without) / float64(with), target: 0.55, atLeast: true}
	if after > before {
		return nil, fmt.Errorf("%d deadlocks", after-before)
	}
	return []row{r}, nil
}

func perSecond(each time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(time.Second)/float64(each))
}

// race lets all writers write for a while and returns how much they did together.
func race(ctx context.Context, d *dataset, toggles []*toggle, most time.Duration, conn func(tree.Conn) tree.Conn) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	var g errgroup.Group
	var mu sync.Mutex
	writes := 0
	for _, t := range toggles {
		g.Go(func() error {
			n, err := t.until(ctx, d, conn)
			mu.Lock()
			defer mu.Unlock()
			writes += n
			return err
		})
	}
	err := g.Wait()
	return writes, err
}

// deadlocks is how many the server has seen in this database.
func (d *dataset) deadlocks(ctx context.Context) (n int64, err error) {
	err = d.plain.QueryRowContext(ctx, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&n)
	return n, err
}

// toggle is a contact whose conversation one writer closes and opens again, as far as lists and counters go.
type toggle struct{ contact *ent.Contact }

func (d *dataset) toggles(ctx context.Context, n int) ([]*toggle, error) {
	open, err := d.hot(ctx, n*10)
	if err != nil {
		return nil, err
	}
	list := make([]*toggle, n)
	for i := range list {
		list[i] = &toggle{open[i*10].Edges.Contact}
	}
	return list, nil
}

// until toggles until the context ends, an even number of times, so that all is as it was, and returns how often.
func (t *toggle) until(ctx context.Context, d *dataset, conn func(tree.Conn) tree.Conn) (n int, err error) {
	for ; ctx.Err() == nil || n%2 == 1; n++ {
		if err := t.once(ctx, d, n, conn); err != nil {
			return n, err
		}
	}
	return n, nil
}

// once closes the conversation, or opens it again when n is odd, also when the context has ended.
func (t *toggle) once(ctx context.Context, d *dataset, n int, conn func(tree.Conn) tree.Conn) error {
	boxes := []tree.Box{tree.BoxOf(tree.Closed, true), tree.Box(t.contact.Box)}
	return d.db.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *ent.Tx) error {
		return tree.UpdateContact(ctx, conn(tx), t.contact.ID, tree.Placement{GroupID: t.contact.GroupID, Box: boxes[n%2], SortKey: t.contact.SortKey})
	})
}

// counted leaves everything as it is.
func counted(c tree.Conn) tree.Conn { return c }

// uncounted leaves out the statement that changes counters.
type uncounted struct{ tree.Conn }

// ExecContext takes part in tree.Conn.
func (u uncounted) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	var rows []json.RawMessage
	if len(args) == 1 && strings.Contains(query, "UPDATE group_counters") {
		text, ok := args[0].(string)
		if !ok {
			return nil, errors.New("the counters are not changed as they used to be")
		}
		err := json.Unmarshal([]byte(text), &rows)
		return changed(len(rows)), err
	}
	return u.Conn.ExecContext(ctx, query, args...)
}

// changed is the result of a statement that changed so many rows.
type changed int64

// LastInsertId takes part in sql.Result.
func (changed) LastInsertId() (int64, error) { return 0, errors.ErrUnsupported }

// RowsAffected takes part in sql.Result.
func (c changed) RowsAffected() (int64, error) { return int64(c), nil }
