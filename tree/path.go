package tree

import (
	"fmt"
	"strings"
)

// LabelSize is the number of characters of a label, a group's id within a path.
const LabelSize = 6

// MaxID is the highest group id that has a label: 68.7 thousand million.
const MaxID = 1<<(6*LabelSize) - 1

// alphabet holds the digits of labels, in ASCII order, so that labels sort as their ids do.
const alphabet = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// first and last enclose every label in byte order: no digit is below the one or above the other.
const (
	first = "-"
	last  = "~"
)

// Label returns the label of a group: its id in base 64, LabelSize characters long. Labels compare as their ids do.
// It panics on an id below 0 or above MaxID, which no group has.
func Label(id int64) string {
	if id < 0 || id > MaxID {
		panic("tree: no label for this id")
	}
	var label [LabelSize]byte
	for i := LabelSize - 1; i >= 0; i-- {
		label[i] = alphabet[id&63]
		id >>= 6
	}
	return string(label[:])
}

// IDs returns the ids of the groups on a path, the root's first and the group's own last. It returns nil for a string
// that is not a path.
func IDs(path string) []int64 {
	if len(path)%LabelSize != 0 {
		return nil
	}
	ids := make([]int64, 0, len(path)/LabelSize)
	for i := 0; i < len(path); i += LabelSize {
		var id int64
		for _, digit := range []byte(path[i : i+LabelSize]) {
			value := strings.IndexByte(alphabet, digit)
			if value < 0 {
				return nil
			}
			id = id<<6 | int64(value)
		}
		ids = append(ids, id)
	}
	return ids
}

// Range returns the bounds of the subtree of a path: those paths that are at least from and less than to, in byte
// order, are the group itself and everything below it.
func Range(path string) (from, to string) { return path, path + last }

// Under says whether the group of a path is the other one or below it.
func Under(path, above string) bool { return strings.HasPrefix(path, above) }

// Parent returns the group above the one that a path ends with, 0 for the root.
func Parent(path string) int64 {
	above := IDs(path)
	if len(above) < 2 {
		return 0
	}
	return above[len(above)-2]
}

// below returns the bounds of what is strictly below a path.
func below(path string) (from, to string) { return path + first, path + last }

// only returns the bounds of the path alone.
func only(path string) (from, to string) { return path, path + first }

// label returns the SQL expression of the label of an id.
func label(id string) string {
	digits := make([]string, LabelSize)
	for i := range digits {
		digits[i] = fmt.Sprintf("substr('%s', CAST((%s >> %d) & 63 AS INTEGER) + 1, 1)", alphabet, id, 6*(LabelSize-1-i))
	}
	return "(" + strings.Join(digits, " || ") + ")"
}
