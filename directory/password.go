package directory

import (
	"context"
	"encoding/base64"
	"fmt"
	"runtime"
	"sync"
	"unicode/utf8"

	"canopy/refusal"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"
)

// How long a password may be, in characters.
const (
	MinPassword = 12
	MaxPassword = 200
)

// newPassword returns the hash of a password that somebody chose, or a refusal of the field.
func (s *Service) newPassword(ctx context.Context, field, password string) (string, error) {
	if n := utf8.RuneCountInString(password); n < MinPassword || n > MaxPassword {
		return "", refusal.BadInput(field, "A password has %d to %d characters.", MinPassword, MaxPassword)
	}
	return s.HashPassword(ctx, password)
}

// HashPassword returns what is stored of a password. Hashing is slow and takes memory on purpose; it waits for its
// turn, because only so many hashes are made at a time.
func (s *Service) HashPassword(ctx context.Context, password string) (string, error) {
	leave, err := s.hashing.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := argon2id.CreateHash(norm.NFC.String(password), s.cost())
	if err != nil {
		return "", fmt.Errorf("directory: hashing a password: %w", err)
	}
	return hash, nil
}

// isPassword says whether the password is the one of the hash. Without a hash it takes as long, and is not.
func (s *Service) isPassword(ctx context.Context, password string, hash *string) (bool, error) {
	leave, err := s.hashing.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	compared := s.decoy()
	if hash != nil {
		compared = *hash
	}
	if utf8.RuneCountInString(password) > MaxPassword {
		password = "" // nobody's; the time must not depend on what was sent
	}
	match, err := argon2id.ComparePasswordAndHash(norm.NFC.String(password), compared)
	if err != nil {
		return false, fmt.Errorf("directory: checking a password: %w", err)
	}
	return match && hash != nil, nil
}

func (s *Service) cost() *argon2id.Params {
	p := orElse(s.Argon2, argon2id.Params{Memory: 47104, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	return &p
}

// decoy is a hash of the present cost that belongs to no password that anybody knows.
func (s *Service) decoy() string {
	p := s.cost()
	zeros := func(n uint32) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", p.Memory, p.Iterations, p.Parallelism, zeros(p.SaltLength), zeros(p.KeyLength))
}

// gate lets in as many at a time as there are processors; more would take memory and finish no sooner.
type gate struct {
	once  sync.Once
	slots chan struct{}
}

// enter waits for a place, or until the context ends.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	g.once.Do(func() { g.slots = make(chan struct{}, runtime.GOMAXPROCS(0)) })
	select {
	case g.slots <- struct{}{}:
		return func() { <-g.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
