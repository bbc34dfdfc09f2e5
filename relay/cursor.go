package relay

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// Order names the ordering of a list. A cursor carries it, so that the cursor of one list is no cursor of a list that
// is ordered otherwise. The bytes are part of cursors that clients hold for the length of a visit.
type Order byte

// Position is a place in an ordered list: the sort key of the entry and its number, which breaks ties. An ordering
// uses the parts that it needs and leaves the others zero. What is in it must be visible in the entry itself, because
// a cursor is opaque but not secret.
type Position struct {
	Order  Order
	Text   string
	Number int64
	ID     int64
}

// ErrCursor is returned for text that is no cursor of the list.
var ErrCursor = errors.New("not a cursor of this list")

// Cursor writes the position as clients see it.
func (p Position) Cursor() string {
	buf := make([]byte, 1, 1+2*binary.MaxVarintLen64+len(p.Text))
	buf[0] = byte(p.Order)
	buf = binary.AppendVarint(buf, p.Number)
	buf = binary.AppendUvarint(buf, uint64(p.ID))
	return base64.RawURLEncoding.EncodeToString(append(buf, p.Text...))
}

// ParseCursor reads a cursor of a list in the given order. Text that Cursor did not write for that order is refused
// with ErrCursor.
func ParseCursor(text string, order Order) (Position, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 3 || Order(raw[0]) != order {
		return Position{}, ErrCursor
	}
	number, n := binary.Varint(raw[1:])
	if n <= 0 {
		return Position{}, ErrCursor
	}
	id, m := binary.Uvarint(raw[1+n:])
	if m <= 0 {
		return Position{}, ErrCursor
	}
	p := Position{Order: order, Number: number, ID: int64(id), Text: string(raw[1+n+m:])}
	if p.ID <= 0 || p.Cursor() != text {
		return Position{}, ErrCursor
	}
	return p, nil
}
