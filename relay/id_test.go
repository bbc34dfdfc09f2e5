package relay_test

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"canopy/relay"
)

func TestIDComesBackAsItWas(t *testing.T) {
	for _, n := range []int64{1, 2, 127, 128, 16384, math.MaxInt64} {
		id := relay.NewID(relay.KindGroup, n)
		if got := relay.ParseID(id.String()); got != id {
			t.Errorf("%d came back as %v", n, got)
		}
		if got := id.As(relay.KindGroup); got != n {
			t.Errorf("%d as a group is %d", n, got)
		}
	}
}

func TestIDOfAnotherKindNamesNothing(t *testing.T) {
	id := relay.NewID(relay.KindUser, 7)
	if n := id.As(relay.KindGroup); n != 0 {
		t.Errorf("a user taken for a group is group %d", n)
	}
	if n := id.As(relay.KindGroup, relay.KindUser); n != 7 {
		t.Errorf("a user taken for a group or user is %d", n)
	}
	if n := (relay.ID{}).As(relay.KindGroup); n != 0 {
		t.Errorf("nothing taken for a group is %d", n)
	}
}

func TestMalformedIDNamesNothing(t *testing.T) {
	valid := relay.NewID(relay.KindGroup, 300).String()
	for _, text := range []string{
		"", "x", "1", valid + "=", valid + "A", " " + valid, valid[:len(valid)-1], strings.ToLower(valid) + "!",
		encode('G'),             // no number
		encode('G', 0),          // 0 is nobody's number
		encode('G', 0x81, 0x00), // 1, written longer than need be
		encode('G', 0x80),       // a number that does not end
		encode('G', 1, 1),       // something behind the number
		encode('G', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), // negative as a signed number
		encode('G', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	} {
		if id := relay.ParseID(text); !id.Malformed() || id.String() != text || id.As(relay.KindGroup) != 0 {
			t.Errorf("%q is read as %v", text, id)
		}
	}
}

func encode(raw ...byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func TestIDAsGraphQLReadsAndWritesIt(t *testing.T) {
	id := relay.NewID(relay.KindContact, 42)
	var b strings.Builder
	id.MarshalGQL(&b)
	if want := `"` + id.String() + `"`; b.String() != want {
		t.Errorf("written as %s, want %s", b.String(), want)
	}
	var read relay.ID
	if err := read.UnmarshalGQL(id.String()); err != nil || read != id {
		t.Errorf("read as %v, %v", read, err)
	}
	// GraphQL lets an ID be written as a number.
	for _, number := range []any{7, int64(7), json.Number("7")} {
		if err := read.UnmarshalGQL(number); err != nil || !read.Malformed() || read.String() != "7" {
			t.Errorf("%T is read as %v, %v", number, read, err)
		}
	}
	if err := read.UnmarshalGQL(true); err == nil {
		t.Error("a boolean is read as an id")
	}
}

// FuzzParseID looks for text that is read as an id and not written back the same, so that two texts would name one
// thing.
func FuzzParseID(f *testing.F) {
	f.Add(relay.NewID(relay.KindGroup, 1).String())
	f.Add(relay.NewID(relay.KindMessage, math.MaxInt64).String())
	f.Add("")
	f.Add(encode('G', 0x81, 0x00))
	f.Fuzz(func(t *testing.T, text string) {
		id := relay.ParseID(text)
		if id.Malformed() {
			return
		}
		if id.String() != text {
			t.Errorf("%q is read and written back as %q", text, id)
		}
		if id.As(id.Kind()) <= 0 {
			t.Errorf("%q names number %d", text, id.As(id.Kind()))
		}
	})
}
