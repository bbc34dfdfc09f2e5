package graph

import (
	"canopy/graph/bind"
	"canopy/refusal"
)

// Sizes of pages.
const (
	defaultPage = 25
	maxPage     = 200
)

// countCap is where counting ends; as a total it stands for more than 1000.
const countCap = 1001

// page is which part of a list a client wants.
type page struct {
	first int
	after *string // nil: from the start
	total bool    // whether it wants the number of all entries too
}

// newPage refuses sizes that are out of bounds.
func newPage(first *int, after *string, total bool) (page, error) {
	p := page{first: defaultPage, after: after, total: total}
	if first != nil {
		p.first = *first
	}
	if p.first < 1 || p.first > maxPage {
		return page{}, refusal.BadInput("first", "A page has 1 to %d entries; ask for fewer with `first` and for the next ones with `after`.", maxPage)
	}
	return p, nil
}

// page reads the arguments that every connection has.
func (a asked) page() (page, error) {
	first, err := a.int("first")
	if err != nil {
		return page{}, err
	}
	var after *string
	if text, ok := a.args()["after"].(string); ok {
		after = &text
	}
	return newPage(first, after, a.total)
}

// int returns an argument of type Int, nil when it was left out.
func (a asked) int(name string) (*int, error) {
	raw, ok := a.args()[name]
	if !ok || raw == nil {
		return nil, nil
	}
	n, err := bind.UnmarshalInt(raw)
	return &n, err
}

// badCursor refuses a cursor that is not of this list.
func badCursor() error {
	return refusal.BadInput("after", "This is no cursor of this list. Give the `endCursor` of its page before, or leave `after` out to start again.")
}
