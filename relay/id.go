// Package relay holds what Relay-style GraphQL needs whatever the data: opaque typed ids, opaque cursors and
// connections. It knows no entity beyond its kind, runs no query and decides no access.
package relay

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
)

// Kind is the type of the thing that an ID names. The bytes are part of ids that clients keep: never reuse one.
type Kind byte

// The kinds.
const (
	KindAccount           Kind = 'A'
	KindGroup             Kind = 'G'
	KindUser              Kind = 'U'
	KindAgent             Kind = 'P' // the card of a user; its number is the user's
	KindRole              Kind = 'R'
	KindRoleGrant         Kind = 'N'
	KindSession           Kind = 'S'
	KindContact           Kind = 'C'
	KindContactAssignment Kind = 'T'
	KindConversation      Kind = 'V'
	KindMessage           Kind = 'M'
	KindAuditEvent        Kind = 'E'
	KindGroupRequest      Kind = 'Q'
	KindGroupMove         Kind = 'B'
	KindImportRun         Kind = 'I'
	KindTag               Kind = 'L' // as in label
	KindConversationTag   Kind = 'K'
	KindNote              Kind = 'D'
	KindHistoryEntry      Kind = 'H'
	KindCover             Kind = 'O'
	KindReadMark          Kind = 'Y'
)

// ID is an id as clients see it: base64url of the kind and the number as a varint. It is opaque but not secret.
type ID struct {
	kind   Kind
	number int64
	text   string // of an id that names nothing, as it was written
}

// NewID returns the id of the thing of that kind and number.
func NewID(kind Kind, number int64) ID { return ID{kind: kind, number: number} }

// Kind returns what the id claims to name.
func (id ID) Kind() Kind { return id.kind }

// As returns the number if the id names something of one of the given kinds, else 0, which no row has: an id of
// another kind, or a malformed one, is then simply not found.
func (id ID) As(kinds ...Kind) int64 {
	for _, k := range kinds {
		if id.kind == k {
			return id.number
		}
	}
	return 0
}

// Malformed says that what was read is no id: it names nothing, and never did.
func (id ID) Malformed() bool { return id.kind == 0 }

// String returns the id as clients see it; of a malformed one, what was read.
func (id ID) String() string {
	if id.Malformed() {
		return id.text
	}
	buf := make([]byte, 1, 1+binary.MaxVarintLen64)
	buf[0] = byte(id.kind)
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(buf, uint64(id.number)))
}

// ParseID reads an id. Text that is not exactly what String writes for a positive number yields a malformed one.
func ParseID(text string) ID {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 2 {
		return ID{text: text}
	}
	n, size := binary.Uvarint(raw[1:])
	id := NewID(Kind(raw[0]), int64(n))
	if size != len(raw)-1 || id.number <= 0 || id.String() != text {
		return ID{text: text}
	}
	return id
}

// MarshalGQL writes the id as a GraphQL ID.
func (id ID) MarshalGQL(w io.Writer) {
	if id.Malformed() { // anything may stand in it
		text, _ := json.Marshal(id.text) // never fails
		_, _ = w.Write(text)
		return
	}
	_, _ = io.WriteString(w, strconv.Quote(id.String()))
}

// UnmarshalGQL reads a GraphQL ID, which may be written as a number too. Malformed text is no error: like every id that
// names nothing it is not found, in its turn among the refusals (ruling 16).
func (id *ID) UnmarshalGQL(v any) error {
	switch v := v.(type) {
	case string:
		*id = ParseID(v)
	case int, int64, json.Number:
		*id = ID{text: fmt.Sprint(v)}
	default:
		return fmt.Errorf("an id is a string, not %T", v)
	}
	return nil
}
