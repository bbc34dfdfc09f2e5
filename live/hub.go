package live

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"canopy/authz"
	"canopy/refusal"
	"canopy/store"
)

const (
	// lookEvery is how often a hub looks by itself whether something was published or is over: what tells it otherwise may
	// be lost, and on SQLite other processes do not tell.
	lookEvery = time.Second
	// readAtOnce is how many events are read and judged together.
	readAtOnce = 500
	// maxCaughtUp is how many events somebody may have missed and still be told of each.
	maxCaughtUp = 2000
	// maxAhead is how many changes may wait for a reader. When there are more they become a gap; and when nothing was read
	// for as long as patience, the stream ends.
	maxAhead = 256
	patience = 10 * time.Second
)

// People loads viewers; package directory does. A viewer whose session is over, or who may do nothing any more, is a refusal.
type People interface {
	// Renew returns the viewer as they stand now.
	Renew(ctx context.Context, v *authz.Viewer) (*authz.Viewer, error)
	// RenewAll is Renew for viewers of one account, in their order. Until is the first moment at which any of it changes
	// by itself, the zero time if none does.
	RenewAll(ctx context.Context, accountID int64, viewers []*authz.Viewer) (now []Renewed, until time.Time, err error)
	// Rosters returns who serves at home in each of the groups now; until is as for RenewAll.
	Rosters(ctx context.Context, accountID int64, groupIDs []int64) (of map[int64]Roster, until time.Time, err error)
}

// Renewed is a viewer as they stand now, or why they are none any more.
type Renewed struct {
	Viewer  *authz.Viewer
	Refused *refusal.Refusal
}

// Hub hands on what is published to the subscribers of one process. All fields must be set. It works while there are
// subscribers, and rests when the contexts of all have ended.
type Hub struct {
	DB     *store.DB
	People People
	Now    func() time.Time
	Log    *slog.Logger
	// Running is whom to wait for, once all streams have ended, before the database is closed.
	Running *sync.WaitGroup

	mu    sync.Mutex
	feeds map[int64]*feed // by account
	stop  context.CancelFunc
	woken chan struct{}
}

// feed is the subscribers of one account. Its fields but streams are the running hub's alone.
type feed struct {
	account int64
	streams map[*Stream]bool

	read  int64     // the number of the last event that was judged
	until time.Time // when rights and rosters have to be judged anew, whether or not something happens
	fresh bool      // somebody has come

	rosters rosters
}

// Subscribe begins a stream for the viewer of ctx, which lasts until ctx ends. Since is the position after which to begin,
// nil: now. What the viewer may subscribe to was decided before.
func (h *Hub) Subscribe(ctx context.Context, i Interest, since *string) (*Stream, error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return nil, refusal.NoViewer()
	}
	last, secret, err := counter(ctx, h.DB, v.AccountID)
	if err != nil {
		return nil, err
	}
	s := &Stream{hub: h, account: v.AccountID, interest: i, secret: secret, viewer: v, rights: printOf(v), number: last,
		ready: make(chan struct{}, 1), behind: h.Now()}
	if since != nil {
		from, err := decode(secret, *since)
		if err != nil {
			return nil, err
		}
		if s.missed = from.number > last; !s.missed {
			s.number, s.from = from.number, &from
		}
	}
	h.add(s)
	context.AfterFunc(ctx, func() { s.end(nil) })
	return s, nil
}

func (h *Hub) add(s *Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.feeds) == 0 {
		h.start()
	}
	f := h.feeds[s.account]
	if f == nil {
		f = &feed{account: s.account, streams: map[*Stream]bool{}, read: s.number}
		h.feeds[f.account] = f
	}
	f.streams[s], f.fresh = true, true
	h.wake()
}

// remove forgets a stream; the hub rests when it was the last one.
func (h *Hub) remove(s *Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.feeds[s.account]
	if f == nil || !f.streams[s] {
		return
	}
	if delete(f.streams, s); len(f.streams) == 0 {
		delete(h.feeds, f.account)
	}
	if len(h.feeds) == 0 {
		h.stop()
	}
}

// start begins to look for what is published. The hub is locked.
func (h *Hub) start() {
	var ctx context.Context
	ctx, h.stop = context.WithCancel(context.Background())
	h.feeds, h.woken = map[int64]*feed{}, make(chan struct{}, 1)
	woken := h.woken
	h.Running.Go(func() { h.run(ctx, woken) })
}

// wake lets the hub look at once. The hub is locked.
func (h *Hub) wake() { signal(h.woken) }

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (h *Hub) run(ctx context.Context, woken chan struct{}) {
	wake := func() { signal(woken) }
	defer h.DB.OnPublish(wake)()
	var listening sync.WaitGroup
	listening.Go(func() { h.DB.Listen(ctx, wake) })
	defer listening.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-tick.C:
		}
		if err := h.look(ctx); err != nil && ctx.Err() == nil {
			h.Log.ErrorContext(ctx, "reading what was published failed", "error", err)
		}
	}
}

// look hands on what was published since the last time, and ends what is over.
func (h *Hub) look(ctx context.Context) error {
	h.mu.Lock()
	feeds := make([]*feed, 0, len(h.feeds))
	for _, f := range h.feeds {
		feeds = append(feeds, f)
	}
	h.mu.Unlock()
	counted, err := h.counted(ctx, feeds)
	if err != nil {
		return err
	}
	for _, f := range feeds {
		last, there := counted[f.account]
		err = errors.Join(err, h.turn(ctx, f, last, there))
	}
	return err
}

// counted returns how far the accounts have counted.
func (h *Hub) counted(ctx context.Context, feeds []*feed) (map[int64]int64, error) {
	counted := make(map[int64]int64, len(feeds))
	if len(feeds) == 0 {
		return counted, nil
	}
	args, params := make([]any, len(feeds)), make([]string, len(feeds))
	for i, f := range feeds {
		args[i], params[i] = f.account, "$"+strconv.Itoa(i+1)
	}
	err := store.EachRow(ctx, h.DB.Read, "SELECT account_id, last FROM event_counters WHERE account_id IN ("+strings.Join(params, ", ")+")", args,
		func(rows *sql.Rows) error {
			var account, last int64
			err := rows.Scan(&account, &last)
			counted[account] = last
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("live: looking whether something was published: %w", err)
	}
	return counted, nil
}

// turn judges, for all subscribers of an account, what was published up to the number. An account that is not there any
// more has no sessions either.
func (h *Hub) turn(ctx context.Context, f *feed, last int64, there bool) error {
	h.mu.Lock()
	streams := make([]*Stream, 0, len(f.streams))
	for s := range f.streams {
		streams = append(streams, s)
	}
	fresh := f.fresh
	f.fresh = false
	h.mu.Unlock()
	due := !f.until.IsZero() && !h.Now().Before(f.until)
	if len(streams) == 0 || there && last == f.read && !fresh && !due {
		return nil
	}
	err := h.judge(ctx, f, streams, last)
	if err != nil {
		h.mu.Lock()
		f.fresh = true // once more
		h.mu.Unlock()
	}
	return err
}

// judge reads the events first and loads the rights after them: so rights are never older than what they are applied to.
func (h *Hub) judge(ctx context.Context, f *feed, streams []*Stream, last int64) error {
	from := last
	for _, s := range streams {
		from = min(from, max(s.upTo(), last-maxCaughtUp))
	}
	for {
		events, err := read(ctx, h.DB, f.account, from, readAtOnce)
		if err != nil {
			return err
		}
		to := max(from, last)
		if n := len(events); n > 0 {
			to = events[n-1].sequence
		}
		t, err := h.prepare(ctx, f, streams, events)
		if err != nil {
			return err
		}
		for i, s := range streams {
			s.turn(t.now[i], &sight{places: t.places, homes: t.homes}, &f.rosters, events, to)
		}
		f.read = max(f.read, to)
		if from = to; len(events) < readAtOnce {
			return nil
		}
	}
}

// turning is what streams judge by.
type turning struct {
	now    []Renewed // in the order of the streams
	places map[int64]authz.Place
	homes  map[int64]int64
}

func (h *Hub) prepare(ctx context.Context, f *feed, streams []*Stream, events []Event) (*turning, error) {
	viewers := make([]*authz.Viewer, len(streams))
	groups, agents, panels := map[int64]bool{}, map[int64]bool{}, map[int64]bool{}
	for i, s := range streams {
		viewers[i] = s.lastViewer()
		if p, is := s.interest.(Panel); is {
			panels[p.GroupID] = true
		}
		if id, _ := s.interest.group(); id != 0 {
			groups[id] = true
		}
	}
	for i := range events {
		for _, at := range []*Stand{events[i].Was, events[i].Now} {
			if at != nil {
				groups[at.GroupID], agents[at.AgentID] = true, true
			}
		}
	}
	t := &turning{}
	var err error
	var until time.Time
	if t.now, until, err = h.People.RenewAll(ctx, f.account, viewers); err != nil {
		return nil, err
	}
	if err = h.refresh(ctx, f, slices.Sorted(maps.Keys(panels)), events); err != nil {
		return nil, err
	}
	f.until = Earlier(until, f.rosters.until)
	if t.places, err = h.placesOf(ctx, f.account, groups); err != nil {
		return nil, err
	}
	t.homes, err = h.homesOf(ctx, f.account, agents)
	return t, err
}

// placesOf returns where groups stand.
func (h *Hub) placesOf(ctx context.Context, account int64, ids map[int64]bool) (map[int64]authz.Place, error) {
	places := make(map[int64]authz.Place, len(ids))
	err := h.each(ctx, "SELECT id, path, wall FROM groups WHERE account_id = $1 AND id IN ", account, ids, func(rows *sql.Rows) error {
		var p authz.Place
		err := rows.Scan(&p.GroupID, &p.Path, &p.Wall)
		places[p.GroupID] = p
		return err
	})
	return places, err
}

// homesOf returns the home groups of users.
func (h *Hub) homesOf(ctx context.Context, account int64, ids map[int64]bool) (map[int64]int64, error) {
	homes := make(map[int64]int64, len(ids))
	err := h.each(ctx, "SELECT id, home_group_id FROM users WHERE account_id = $1 AND id IN ", account, ids, func(rows *sql.Rows) error {
		var user, home int64
		err := rows.Scan(&user, &home)
		homes[user] = home
		return err
	})
	return homes, err
}

// each runs a query for the ids of an account.
func (h *Hub) each(ctx context.Context, query string, account int64, ids map[int64]bool, fn func(*sql.Rows) error) error {
	delete(ids, 0)
	if len(ids) == 0 {
		return nil
	}
	args, params := []any{account}, make([]string, 0, len(ids))
	for id := range ids {
		args = append(args, id)
		params = append(params, "$"+strconv.Itoa(len(args)))
	}
	if err := store.EachRow(ctx, h.DB.Read, query+"("+strings.Join(params, ", ")+")", args, fn); err != nil {
		return fmt.Errorf("live: looking where things stand: %w", err)
	}
	return nil
}
