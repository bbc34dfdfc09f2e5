package bind

import (
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"

	"canopy/refusal"

	"github.com/99designs/gqlgen/graphql"
)

// timeLayout has exactly the precision that the databases keep.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// MarshalTime writes a moment in UTC with microseconds.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		buf := make([]byte, 0, len(timeLayout)+2)
		buf = append(buf, '"')
		buf = t.UTC().AppendFormat(buf, timeLayout)
		_, _ = w.Write(append(buf, '"'))
	})
}

// UnmarshalTime reads RFC 3339 with any offset; what is finer than a microsecond is cut off.
func UnmarshalTime(v any) (time.Time, error) {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, refusal.BadInput("", `A moment is written like "2027-03-01T09:30:00Z" (RFC 3339).`)
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// MarshalInt writes an integer.
func MarshalInt(n int) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.Itoa(n)) })
}

// UnmarshalInt reads an integer of 32 bits, which is what GraphQL has.
func UnmarshalInt(v any) (int, error) {
	var n int64
	var err error
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case json.Number:
		n, err = strconv.ParseInt(string(v), 10, 64)
	default:
		err = strconv.ErrSyntax
	}
	if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, refusal.BadInput("", "An Int is a whole number between %d and %d.", math.MinInt32, math.MaxInt32)
	}
	return int(n), nil
}
