package directory

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

const day = 24 * time.Hour

// tokenBytes is the length of a secret: 256 bits.
const tokenBytes = 32

// A token begins with what it is for, so that people and scanners recognise one that has leaked.
const (
	sessionPrefix = "cnp_"
	setupPrefix   = "cnps_"
)

// newToken returns a fresh secret with its prefix, and the hash under which it is stored.
func (s *Service) newToken(prefix string) (token, hash string, err error) {
	var secret [tokenBytes]byte
	if _, err := io.ReadFull(s.Rand, secret[:]); err != nil {
		return "", "", fmt.Errorf("directory: making a token: %w", err)
	}
	token = prefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return token, hashToken(token), nil
}

// newSetupToken returns a one-time token by which somebody sets a password, its hash, and until when it counts.
func (s *Service) newSetupToken() (token, hash string, expires time.Time, err error) {
	token, hash, err = s.newToken(setupPrefix)
	return token, hash, s.now().Add(orElse(s.SetupLifetime, 7*day)), err
}

// hashToken is what is stored of a token. A plain hash is enough for a random secret of this length.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
