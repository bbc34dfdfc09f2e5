package store_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"canopy/internal/testdb"
	"canopy/store"
)

// spends fails the test unless spending is answered as wanted.
func spends(t *testing.T, db *store.DB, want bool, now time.Time, from ...store.Allowance) {
	t.Helper()
	if got, err := db.Spend(context.Background(), now, from...); err != nil || got != want {
		t.Errorf("spending from %v at %s is %t, %v", from, now.Format(time.TimeOnly), got, err)
	}
}

func TestAllowanceRegainsOneAfterEachPeriod(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		a := store.Allowance{Key: "ada", Burst: 3, Every: time.Minute}
		for range 3 {
			spends(t, db, true, noon, a)
		}
		spends(t, db, false, noon, a)
		spends(t, db, false, noon.Add(time.Minute-time.Microsecond), a)
		spends(t, db, true, noon.Add(time.Minute), a)
		spends(t, db, false, noon.Add(time.Minute), a)
		spends(t, db, true, noon.Add(time.Minute), store.Allowance{Key: "bob", Burst: 1, Every: time.Minute})
		for range 3 { // and never more than the burst
			spends(t, db, true, noon.Add(time.Hour), a)
		}
		spends(t, db, false, noon.Add(time.Hour), a)
	})
}

func TestWhatIsRefusedTakesFromNoAllowance(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		wide := store.Allowance{Key: "wide", Burst: 2, Every: time.Minute}
		narrow := store.Allowance{Key: "narrow", Burst: 1, Every: time.Minute}
		spends(t, db, true, noon, wide, narrow)
		for range 5 {
			spends(t, db, false, noon, wide, narrow)
		}
		spends(t, db, true, noon, wide)
		spends(t, db, false, noon, wide)
	})
}

// TestProcessesSpendFromOneAllowance lets several programs spend side by side, among others from one allowance that all
// of them want and many that are over and swept away meanwhile.
func TestProcessesSpendFromOneAllowance(t *testing.T) {
	testdb.EachURL(t, func(t *testing.T, url string) {
		if err := open(t, url).Migrate(trusted()); err != nil {
			t.Fatal(err)
		}
		const programs, tries, burst = 3, 30, 40
		var passed atomic.Int64
		var group sync.WaitGroup
		for p := range programs {
			db := open(t, url)
			group.Go(func() {
				for i := range tries {
					ok, err := db.Spend(context.Background(), noon.Add(time.Duration(i)*time.Second),
						store.Allowance{Key: "everybody", Burst: burst, Every: time.Hour},
						store.Allowance{Key: fmt.Sprint("brief ", (i+p)%5), Burst: tries, Every: time.Millisecond})
					if err != nil {
						t.Errorf("program %d: %v", p, err)
					}
					if ok {
						passed.Add(1)
					}
				}
			})
		}
		group.Wait()
		if got := passed.Load(); got != burst {
			t.Errorf("%d of %d were let pass", got, burst)
		}
	})
}

func TestAllowancesThatAreOverGo(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		rows := func() (n int) {
			t.Helper()
			scan(t, db, "SELECT count(*) FROM allowances", &n)
			return n
		}
		const flood = 50
		for i := range flood {
			spends(t, db, true, noon, store.Allowance{Key: strconv.Itoa(i), Burst: 1, Every: time.Minute})
		}
		if got := rows(); got != flood {
			t.Errorf("%d allowances are known, want %d: those that count must stay", got, flood)
		}
		for range flood {
			spends(t, db, true, noon.Add(time.Minute), store.Allowance{Key: "one", Burst: 2 * flood, Every: time.Minute})
		}
		if got := rows(); got != 1 {
			t.Errorf("%d allowances are left", got)
		}
	})
}

// TestAllowancesDoNotSayWhose looks for the key in all that is stored.
func TestAllowancesDoNotSayWhose(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		spends(t, db, true, noon, store.Allowance{Key: "ada@example.com", Burst: 1, Every: time.Minute})
		var key []byte
		scan(t, db, "SELECT key FROM allowances", &key)
		if len(key) != 32 {
			t.Errorf("stored is %q", key)
		}
	})
}

func TestWithoutADatabaseNothingIsSpent(t *testing.T) {
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if ok, err := db.Spend(context.Background(), noon, store.Allowance{Key: "ada", Burst: 1, Every: time.Minute}); ok || err == nil {
			t.Errorf("spending is %t, %v", ok, err)
		}
	})
}
