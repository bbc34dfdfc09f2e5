package relay_test

import (
	"errors"
	"math"
	"testing"

	"canopy/relay"
)

func TestCursorComesBackAsItWas(t *testing.T) {
	for _, p := range []relay.Position{
		{Order: 'n', Text: "", ID: 1},
		{Order: 'n', Text: "Ærø \x00 \xff", ID: math.MaxInt64},
		{Order: 't', Number: math.MinInt64, ID: 7},
		{Order: 't', Number: 1_800_000_000_000_000, ID: 7},
	} {
		if got, err := relay.ParseCursor(p.Cursor(), p.Order); err != nil || got != p {
			t.Errorf("%v came back as %v, %v", p, got, err)
		}
	}
}

func TestCursorOfAnotherListIsNone(t *testing.T) {
	if _, err := relay.ParseCursor(relay.Position{Order: 'n', Text: "a", ID: 1}.Cursor(), 't'); !errors.Is(err, relay.ErrCursor) {
		t.Errorf("got %v", err)
	}
}

func TestMalformedCursorIsNone(t *testing.T) {
	valid := relay.Position{Order: 'n', Text: "a", ID: 300}.Cursor()
	for _, text := range []string{
		"", "x", valid + "=", valid[:len(valid)-3], encode('n'), encode('n', 0), encode('n', 0, 0), encode('n', 0x80, 0x00, 1),
		encode('n', 0, 0x81, 0x00), encode('n', 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	} {
		if p, err := relay.ParseCursor(text, 'n'); !errors.Is(err, relay.ErrCursor) {
			t.Errorf("%q is read as %v, %v", text, p, err)
		}
	}
}

func TestConnection(t *testing.T) {
	at := func(n int64) relay.Position { return relay.Position{Order: 't', Number: n, ID: n} }
	page := relay.NewConnection([]int64{5, 4}, true, true, at)
	if !page.PageInfo.HasNextPage || !page.PageInfo.HasPreviousPage {
		t.Errorf("got %+v", page.PageInfo)
	}
	if *page.PageInfo.StartCursor != at(5).Cursor() || *page.PageInfo.EndCursor != at(4).Cursor() || page.Edges[1].Cursor() != at(4).Cursor() {
		t.Errorf("the cursors are wrong: %+v", page.PageInfo)
	}
	if nodes := page.Nodes(); len(nodes) != 2 || nodes[0] != 5 || nodes[1] != 4 {
		t.Errorf("got %v", nodes)
	}
	var visited []any
	page.Each(func(n any) { visited = append(visited, n) })
	if len(visited) != 2 || visited[0] != int64(5) {
		t.Errorf("visited %v", visited)
	}
	empty := relay.NewConnection(nil, false, false, at)
	if empty.PageInfo != (relay.PageInfo{}) || empty.Edges == nil || empty.Nodes() == nil {
		t.Errorf("got %+v", empty)
	}
}

// FuzzParseCursor looks for text that is read as a cursor and not written back the same.
func FuzzParseCursor(f *testing.F) {
	f.Add(relay.Position{Order: 'n', Text: "a", ID: 1}.Cursor())
	f.Add(relay.Position{Order: 'n', Number: -5, ID: math.MaxInt64}.Cursor())
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := relay.ParseCursor(text, 'n')
		if err != nil {
			return
		}
		if p.Cursor() != text || p.Order != 'n' || p.ID <= 0 {
			t.Errorf("%q is read as %+v", text, p)
		}
	})
}
