package server_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"canopy/authz"
	"canopy/ent/generated/group"
	"canopy/internal/testdb"
	"canopy/store"
)

// openOn opens a database on a server of the test's own, with the schema.
func openOn(t *testing.T, o store.Options) *store.DB {
	t.Helper()
	o.Readers, o.Writers = 6, 6
	db, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// eventually waits for an event.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.After(2 * time.Minute); !happened(); {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// writer creates groups, one after the other, and remembers what it was answered.
type writer struct {
	stored, failed atomic.Int64 // answers

	mu      sync.Mutex
	outcome map[string]string // by name: "" stored, "UNAVAILABLE" not stored, "OUTCOME_UNKNOWN"
}

func (w *writer) create(t *testing.T, s *site, token, parent, name string) {
	r := s.ask(t, `mutation { createGroup(input: {parentId: "`+parent+`", name: "`+name+`"}) { group { id } } }`, "Authorization", "Bearer "+token)
	checkAway(t, r)
	outcome := r.code()
	if outcome != "" && r.Errors[0].Extensions["reason"] != nil {
		outcome = r.Errors[0].Extensions["reason"].(string)
	}
	if r.Data["createGroup"] != nil {
		outcome = "" // it was created, and what was asked of it could not be read any more
	}
	w.mu.Lock()
	w.outcome[name] = outcome
	w.mu.Unlock()
	if outcome == "" {
		w.stored.Add(1)
	} else {
		w.failed.Add(1)
	}
}

// checkAway fails for an error that is not UNAVAILABLE.
func checkAway(t *testing.T, r *reply) {
	for _, e := range r.Errors {
		if e.Extensions["code"] != "UNAVAILABLE" || e.Message == "" {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	if r.status != 200 && (r.status != 503 || r.header.Get("Retry-After") == "" || len(r.Errors) == 0) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestADatabaseThatRestarts kills the database under traffic, several times.
func TestADatabaseThatRestarts(t *testing.T) {
	cluster := testdb.NewCluster(t)
	db := openOn(t, store.Options{URL: cluster.URL("postgres")})
	s := serve(t, db, nil)
	s.open(t)
	token := s.token(t)
	bearer := []string{"Authorization", "Bearer " + token}
	root := s.ask(t, `{ rootGroup { id } }`, bearer...).Data["rootGroup"].(map[string]any)["id"].(string)

	var workers sync.WaitGroup
	defer workers.Wait()
	stop := make(chan struct{})
	halt := sync.OnceFunc(func() { close(stop) })
	defer halt()
	loop := func(work func(i int)) {
		workers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					work(i)
				}
			}
		})
	}
	writers := make([]*writer, 6)
	for n := range writers {
		w := &writer{outcome: map[string]string{}}
		writers[n] = w
		loop(func(i int) { w.create(t, s, token, root, fmt.Sprintf("%d of %d", i, n)) })
	}
	var read, unread atomic.Int64
	for range 2 {
		loop(func(int) {
			r := s.ask(t, `{ groups(first: 20) { totalCount nodes { name parent { name } } } viewer { user { name } } }`, bearer...)
			checkAway(t, r)
			if r.code() == "" {
				read.Add(1)
			} else {
				unread.Add(1)
			}
		})
	}
	progress := func(count func(*writer) *atomic.Int64) func() bool {
		var before []int64
		for _, w := range writers {
			before = append(before, count(w).Load())
		}
		readBefore, unreadBefore := read.Load(), unread.Load()
		return func() bool {
			for i, w := range writers {
				if count(w).Load() < before[i]+3 {
					return false
				}
			}
			return read.Load() > readBefore || unread.Load() > unreadBefore
		}
	}
	storing := func(w *writer) *atomic.Int64 { return &w.stored }
	failing := func(w *writer) *atomic.Int64 { return &w.failed }

	for range 3 {
		eventually(t, "everybody writes", progress(storing))
		cluster.Kill()
		eventually(t, "everybody hears that the database is away", progress(failing))
		if r := s.send(t, "GET", "/readyz", ""); r.status != 503 {
			t.Errorf("without a database /readyz answers %d", r.status)
		}
		if r := s.send(t, "GET", "/healthz", ""); r.status != 200 {
			t.Errorf("without a database /healthz answers %d", r.status)
		}
		cluster.Start()
		eventually(t, "it is ready again", func() bool { return s.send(t, "GET", "/readyz", "").status == 200 })
	}
	eventually(t, "everybody writes and reads again", progress(storing))
	halt()
	workers.Wait()

	there := map[string]bool{}
	for _, g := range db.Read.Group.Query().Where(group.ParentIDNotNil()).AllX(authz.Trusted(t.Context())) {
		there[g.Name] = true
	}
	counts := map[string]int{}
	for _, w := range writers {
		for name, outcome := range w.outcome {
			counts[outcome]++
			if outcome == "" && !there[name] {
				t.Errorf("%s was acknowledged and is lost", name)
			}
			if outcome == "UNAVAILABLE" && there[name] {
				t.Errorf("%s is there, and its writer was told that it could not be done", name)
			}
		}
	}
	t.Logf("%d stored, %d refused, %d unknown", counts[""], counts["UNAVAILABLE"], counts["OUTCOME_UNKNOWN"])
}
