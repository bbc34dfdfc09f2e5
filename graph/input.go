package graph

import (
	"canopy/internal/optional"
	"canopy/relay"

	"github.com/99designs/gqlgen/graphql"
)

// numberOf returns the number that an optional id names if it is of one of the kinds: nil when it was left out, 0
// when it names nothing.
func numberOf(id *relay.ID, kinds ...relay.Kind) *int64 {
	if id == nil {
		return nil
	}
	n := id.As(kinds...)
	return &n
}

// numbersOf returns the numbers that the ids name, 0 for each that is of none of the kinds; nil for nil.
func numbersOf(ids []*relay.ID, kinds ...relay.Kind) []int64 {
	if ids == nil {
		return nil
	}
	numbers := make([]int64, len(ids))
	for i, id := range ids {
		if id != nil {
			numbers[i] = id.As(kinds...)
		}
	}
	return numbers
}

// optionalOf tells an input that was left out from one that was set to null.
func optionalOf[T any](v graphql.Omittable[*T]) optional.Value[T] {
	to, set := v.ValueOK()
	return optional.Value[T]{Set: set, To: to}
}
