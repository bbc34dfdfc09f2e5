package server

import (
	"context"
	"net/netip"
	"time"

	"canopy/internal/fold"
	"canopy/store"
)

// LogInLimits bound how often somebody may try to log in, through all processes on a database together. Successful
// attempts count too: whether one succeeds is known only after the work that has to be limited. Refused ones do not.
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

// logInLimiter answers graph's question whether somebody may try to log in.
type logInLimiter struct {
	db     *store.DB
	limits LogInLimits
	now    func() time.Time
}

// Allow counts one attempt for the e-mail address and for the remote address of the request.
func (l *logInLimiter) Allow(ctx context.Context, email string) (bool, error) {
	from, name := network(clientOf(ctx)), fold.Key(email)
	return l.db.Spend(ctx, l.now(),
		l.limits.PerAddress.of("log-in from "+from),
		l.limits.PerPair.of("log-in from "+from+" as "+name),
		l.limits.PerEmail.of("log-in as "+name))
}

func (a Allowance) of(key string) store.Allowance {
	return store.Allowance{Key: key, Burst: a.Burst, Every: a.Every}
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
