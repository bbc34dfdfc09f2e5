package tree_test

import (
	"slices"
	"strings"
	"testing"

	"canopy/tree"
)

func TestLabelsSortAsIDs(t *testing.T) {
	ids := []int64{0, 1, 9, 10, 11, 36, 37, 38, 63, 64, 65, 4095, 4096, 1 << 30, tree.MaxID - 1, tree.MaxID}
	for i, id := range ids {
		label := tree.Label(id)
		if len(label) != tree.LabelSize {
			t.Errorf("Label(%d) = %q", id, label)
		}
		if i > 0 && label <= tree.Label(ids[i-1]) {
			t.Errorf("Label(%d) = %q does not sort after Label(%d)", id, label, ids[i-1])
		}
	}
}

func TestLabelPanicsWithoutLabel(t *testing.T) {
	for _, id := range []int64{-1, tree.MaxID + 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Label(%d) returns", id)
				}
			}()
			tree.Label(id)
		}()
	}
}

func TestRangeIsTheSubtree(t *testing.T) {
	root, a, b := tree.Label(1), tree.Label(2), tree.Label(3)
	inside := []string{root + a, root + a + tree.Label(0), root + a + tree.Label(tree.MaxID), root + a + b + a}
	outside := []string{root, root + b, a, b + a, root + tree.Label(1), tree.Label(0) + a, ""}
	from, to := tree.Range(root + a)
	for _, path := range inside {
		if path < from || path >= to || !tree.Under(path, root+a) {
			t.Errorf("%q is not in the subtree of %q", path, root+a)
		}
	}
	for _, path := range outside {
		if path >= from && path < to || tree.Under(path, root+a) {
			t.Errorf("%q is in the subtree of %q", path, root+a)
		}
	}
}

func FuzzLabel(f *testing.F) {
	f.Add(int64(0), int64(1))
	f.Add(int64(63), int64(64))
	f.Add(int64(tree.MaxID-1), int64(tree.MaxID))
	f.Fuzz(func(t *testing.T, a, b int64) {
		a, b = a&tree.MaxID, b&tree.MaxID
		la, lb := tree.Label(a), tree.Label(b)
		if (a < b) != (la < lb) || (a == b) != (la == lb) {
			t.Errorf("%d and %d compare otherwise than their labels %q and %q", a, b, la, lb)
		}
		if got := tree.IDs(la + lb); !slices.Equal(got, []int64{a, b}) {
			t.Errorf("IDs(%q) = %d, want %d and %d", la+lb, got, a, b)
		}
		if from, to := tree.Range(la); la+lb < from || la+lb >= to {
			t.Errorf("%q is not in the range of %q", la+lb, la)
		}
	})
}

func FuzzIDs(f *testing.F) {
	for _, path := range []string{"", "-", "------", "-----0zzzzzz", "-----~", "-----0-----", "é-----"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		ids := tree.IDs(path)
		if ids == nil {
			return
		}
		var labels strings.Builder
		for _, id := range ids {
			labels.WriteString(tree.Label(id))
		}
		if labels.String() != path {
			t.Errorf("IDs(%q) = %d, whose labels are %q", path, ids, labels.String())
		}
	})
}
