// Package optional tells an input that was left out from one that was set to nothing.
package optional

// Value is an input field of a change. The zero Value was left out: what it would change stays.
type Value[T any] struct {
	Set bool // the input was given
	To  *T   // nil: given as null, which clears
}

// To is the input that sets v.
func To[T any](v T) Value[T] { return Value[T]{Set: true, To: &v} }

// Cleared is the input that was given as null.
func Cleared[T any]() Value[T] { return Value[T]{Set: true} }
