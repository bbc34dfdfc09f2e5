package server

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"canopy/internal/fold"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// LogInLimits bound how often somebody may try to log in. Successful attempts count too: whether one succeeds is known
// only after the work that has to be limited.
type LogInLimits struct {
	PerPair    Allowance // for one e-mail address, from one remote address
	PerEmail   Allowance // for one e-mail address, from anywhere
	PerAddress Allowance // from one remote address, for anybody
}

// Allowance lets Burst attempts pass at once, and regains one after each period of Every.
type Allowance struct {
	Burst int
	Every time.Duration
}

// DefaultLogInLimits leave a person room to mistype and an office behind one address room to start the day. A guesser
// gets 5,760 attempts a day at one e-mail address, and cannot use up what others have: to keep somebody out takes
// fifteen remote addresses at once.
func DefaultLogInLimits() LogInLimits {
	return LogInLimits{
		PerPair:    Allowance{Burst: 20, Every: 15 * time.Second},
		PerEmail:   Allowance{Burst: 100, Every: time.Second},
		PerAddress: Allowance{Burst: 100, Every: time.Second},
	}
}

// remembered is how many e-mail addresses, and how many remote addresses, are counted at the same time. Whoever was
// quiet for longest is forgotten first.
const remembered = 20_000

// logInLimiter answers graph's question whether somebody may try to log in.
type logInLimiter struct {
	pairs     *allowances
	emails    *allowances
	addresses *allowances
}

func newLogInLimiter(l LogInLimits, now func() time.Time) *logInLimiter {
	return &logInLimiter{
		pairs: newAllowances(l.PerPair, now), emails: newAllowances(l.PerEmail, now), addresses: newAllowances(l.PerAddress, now),
	}
}

// Allow counts one attempt for the e-mail address and for the remote address of the request.
func (l *logInLimiter) Allow(ctx context.Context, email string) bool {
	from, name := network(clientOf(ctx)), fold.Key(email)
	return l.addresses.take(from) && l.pairs.take(from+" "+name) && l.emails.take(name)
}

// network is what is counted as one remote address: of IPv6 the /64, which is the least that anybody is given.
func network(address netip.Addr) string {
	address = address.Unmap()
	if address.Is6() {
		if prefix, err := address.WithZone("").Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}

// allowances keeps one counter for each key, in bounded memory.
type allowances struct {
	each Allowance
	now  func() time.Time

	mu     sync.Mutex
	recent *simplelru.LRU[[sha256.Size]byte, *rate.Limiter]
}

func newAllowances(each Allowance, now func() time.Time) *allowances {
	recent, err := simplelru.NewLRU[[sha256.Size]byte, *rate.Limiter](remembered, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &allowances{each: each, now: now, recent: recent}
}

// take says whether the key has an attempt left, and uses it up. A key can be as long as a request, so what is kept is
// its hash.
func (a *allowances) take(key string) bool {
	hash := sha256.Sum256([]byte(key))
	a.mu.Lock()
	defer a.mu.Unlock()
	limiter, known := a.recent.Get(hash)
	if !known {
		limiter = rate.NewLimiter(rate.Every(a.each.Every), a.each.Burst)
		a.recent.Add(hash, limiter)
	}
	return limiter.AllowN(a.now(), 1)
}
