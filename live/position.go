package live

import (
	"context"
	"crypto/aes"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/refusal"
	"canopy/store"
)

// print is what tells whether a viewer's rights are the same: who they are, and every grant with its place.
type print [sha256.Size]byte

func printOf(v *authz.Viewer) print {
	h := sha256.New()
	fmt.Fprintf(h, "%d %v", v.UserID, v.Home)
	for i := range v.Grants {
		g := &v.Grants[i]
		fmt.Fprintf(h, "|%d %d %v %d %t %v", g.ID, g.RoleID, g.Place, g.Pairs, g.SharedInbox, g.Queues)
	}
	return print(h.Sum(nil))
}

// signed is the print of rights together with that of a roster, for streams that have one.
func signed(rights, listed print) print {
	if listed == (print{}) {
		return rights
	}
	return print(sha256.Sum256(append(rights[:], listed[:]...)))
}

// A position is one encrypted block: the number up to which somebody knows what happened, the beginning of their print, a
// mark, and something random. So nobody learns from positions how much happens that they do not see, nor whether anything did.
const (
	secretSize  = 16
	numberBytes = 6
	printBytes  = 4
	markBytes   = 2
)

var mark = [markBytes]byte{'c', 'n'}

// position is what a client gave as `since`.
type position struct {
	number int64
	print  [printBytes]byte
}

func (p position) sameRights(now print) bool { return p.print == [printBytes]byte(now[:printBytes]) }

func encode(secret []byte, number int64, rights print) (string, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return "", err
	}
	var b [aes.BlockSize]byte
	binary.BigEndian.PutUint64(b[:], uint64(number)<<(8*(8-numberBytes)))
	copy(b[numberBytes:], rights[:printBytes])
	copy(b[numberBytes+printBytes:], mark[:])
	_, _ = rand.Read(b[numberBytes+printBytes+markBytes:]) // never fails
	block.Encrypt(b[:], b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

func decode(secret []byte, text string) (position, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) != aes.BlockSize {
		return position{}, badPosition()
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return position{}, err
	}
	block.Decrypt(raw, raw)
	p := position{number: int64(binary.BigEndian.Uint64(raw) >> (8 * (8 - numberBytes)))}
	copy(p.print[:], raw[numberBytes:])
	if [markBytes]byte(raw[numberBytes+printBytes:]) != mark {
		return position{}, badPosition()
	}
	return p, nil
}

func badPosition() error {
	return refusal.BadInput("since", "This is no position of this account's. Give the last `position` that you were sent, or leave it out.")
}

// counter returns how far the account has counted, and its secret.
func counter(ctx context.Context, db *store.DB, account int64) (last int64, secret []byte, err error) {
	read := func() error {
		return store.EachRow(ctx, db.Keyed, "SELECT last, secret FROM event_counters WHERE account_id = $1", []any{account},
			func(rows *sql.Rows) error { return rows.Scan(&last, &secret) })
	}
	if err = read(); err == nil && secret == nil { // nothing has happened in the account yet
		err = db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
			_, err := take(ctx, tx, account, 0)
			return err
		})
		err = errors.Join(err, read())
	}
	if err != nil {
		return 0, nil, fmt.Errorf("live: looking how far account %d has counted: %w", account, err)
	}
	return last, secret, nil
}
