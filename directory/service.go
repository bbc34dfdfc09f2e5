// Package directory holds the use-cases on accounts, groups, users, roles and grants, and on logging in: who is there
// and who may do what. Each use-case is one transaction, in which it checks once more what the directive checked
// before, because the world may have changed since, changes, and records the change.
//
// Contacts and conversations are package desk's; the structure under the tree is package tree's; what a permission
// reaches is decided in authz. Reading needs no use-case: resolvers shape queries, and ent/rule narrows them.
package directory

import (
	"io"
	"time"

	"canopy/store"

	"github.com/alexedwards/argon2id"
)

// Service runs the use-cases. All fields without a stated default must be set.
type Service struct {
	DB       *store.DB
	Now      func() time.Time // any precision and zone
	Rand     io.Reader        // from which tokens are made; crypto/rand.Reader but for tests
	MaxDepth int              // greatest depth of a group, at most schema.MaxDepth

	// Handover takes over what a leaving user serves.
	Handover Handover

	// Argon2 is the cost of a password; left empty it is OWASP's first choice of 2023, 46 MiB and one pass.
	Argon2 argon2id.Params
	// CookieLifetime and TokenLifetime are how long sessions last, SetupLifetime how long an invited or reset user may
	// take to set a password. Left at 0 they are 30, 30 and 7 days.
	CookieLifetime, TokenLifetime, SetupLifetime time.Duration

	hashing gate
}

// now is the moment of a use-case, as the databases keep it: UTC, in whole microseconds.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

func orElse[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
