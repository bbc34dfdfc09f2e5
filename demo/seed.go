package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"canopy/authz"
	"canopy/desk"
	"canopy/directory"
	"canopy/store"

	"github.com/alexedwards/argon2id"
)

// Seed fills an empty, migrated database with the demo data.
func Seed(ctx context.Context, db *store.DB) error {
	for i, c := range []company{acaciaOutfitters(), birchRepairs()} {
		s := newSeeder(db, c, byte(i))
		for _, step := range []func(context.Context) error{s.found, s.plant, s.hire, s.arrange, s.serve, s.startWork, s.rearrange, s.handOutPasswords} {
			if err := step(ctx); err != nil {
				return fmt.Errorf("demo: making %s: %w", c.name, err)
			}
		}
	}
	return nil
}

// seeder makes one company, day after day.
type seeder struct {
	company
	db        *store.DB
	directory *directory.Service
	desk      *desk.Service
	clock     *clock
	rand      *rand.Rand
	newName   func() string

	account int64
	places  []*place         // parents before children
	roles   map[string]int64 // built-in ones by key
	users   map[string]int64 // by login
	agents  map[*place][]int64
	heads   map[*place]int64 // dashboard administrators
	viewers map[int64]*authz.Viewer
	working []int64 // agents who are available
	letters int     // messages that arrived
	phones  int     // telephone numbers that were given out
}

func newSeeder(db *store.DB, c company, number byte) *seeder {
	clock := &clock{now: opening()}
	r := rand.New(rand.NewPCG(2027, uint64(number)))
	service := &desk.Service{DB: db, Now: clock.Now}
	return &seeder{
		company: c, db: db, clock: clock, rand: r, newName: names(r), desk: service,
		directory: &directory.Service{
			DB: db, Now: clock.Now, Rand: rand.NewChaCha8([32]byte{number}), MaxDepth: 8, Handover: service,
			Argon2: argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16}, // replaced at the end
		},
		roles: map[string]int64{}, users: map[string]int64{}, viewers: map[int64]*authz.Viewer{},
		agents: map[*place][]int64{}, heads: map[*place]int64{},
	}
}

// clock is the time in the demo: it stands still but for pass and wait.
type clock struct{ now time.Time }

// Now returns the time in the demo.
func (c *clock) Now() time.Time { return c.now }

// pass lets a while go by: at least half of most.
func (s *seeder) pass(most time.Duration) {
	s.clock.now = s.clock.now.Add(most/2 + time.Duration(s.rand.Int64N(int64(most/2)))).Truncate(time.Second)
}

// wait lets time go by until the moment, unless it is over.
func (s *seeder) wait(until time.Time) {
	if s.clock.now.Before(until) {
		s.clock.now = until
	}
}

// as returns the context in which the user acts, with the grants that they had when they acted first since forget.
func (s *seeder) as(ctx context.Context, userID int64) (context.Context, error) {
	known := s.viewers[userID]
	if known == nil {
		loaded, err := s.directory.LoadViewer(ctx, s.db.Read, userID)
		if err != nil {
			return nil, err
		}
		if loaded == nil {
			return nil, fmt.Errorf("there is no user %d", userID)
		}
		s.viewers[userID] = loaded
		known = loaded
	}
	now := *known
	now.At = s.clock.Now()
	return authz.NewContext(ctx, &now), nil
}

// asOwner is as for the primary owner.
func (s *seeder) asOwner(ctx context.Context) (context.Context, error) {
	return s.as(ctx, s.users[s.cast[0].login])
}

// forget makes everybody be loaded anew when they act next: access or the tree has changed.
func (s *seeder) forget() { clear(s.viewers) }
