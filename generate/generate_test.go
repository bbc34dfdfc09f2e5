package generate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"canopy/generate"
)

func companies() []generate.Options {
	return []generate.Options{
		{Groups: 1, Depth: 1, Shape: generate.Branching},
		{Groups: 12, Depth: 12, Shape: generate.Branching},
		{Groups: 300, Depth: 6, Users: 40, Contacts: 1000, Shape: generate.Branching},
		{Groups: 20_000, Depth: 12, Users: 7, Contacts: 5, Seed: 3, Shape: generate.Branching},
		{Groups: 64, Depth: 64, Contacts: 64, Shape: generate.Chain},
		{Groups: 150, Depth: 40, Users: 3, Shape: generate.Chain},
		{Groups: 500, Depth: 1, Users: 500, Contacts: 501, Shape: generate.Star},
	}
}

// each runs the test for several companies with several seeds.
func each(t *testing.T, test func(t *testing.T, o generate.Options)) {
	for _, o := range companies() {
		for seed := range uint64(5) {
			o.Seed += seed
			t.Run(fmt.Sprintf("%s-%d-%d-seed-%d", o.Shape, o.Groups, o.Depth, o.Seed), func(t *testing.T) { test(t, o) })
		}
	}
}

func TestTheTreeIsAsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, o generate.Options) {
		if err := o.Check(); err != nil {
			t.Fatal(err)
		}
		paths := map[int]string{0: ""}
		taken := map[string]bool{}
		deepest := 0
		for g := range o.Tree() {
			above, known := paths[g.Parent]
			path := above + "/" + strings.ToLower(g.Name())
			if !known || g.Number != len(paths) || g.Depth() != strings.Count(path, "/") {
				t.Fatalf("group %d under %d at %q does not follow from what came before", g.Number, g.Parent, g.Path)
			}
			if taken[path] {
				t.Fatalf("two groups are %s", path)
			}
			paths[g.Number], taken[path] = path, true
			deepest = max(deepest, g.Depth())
		}
		if len(paths)-1 != o.Groups || deepest != o.Depth {
			t.Errorf("%d groups down to depth %d, asked for %d down to %d", len(paths)-1, deepest, o.Groups, o.Depth)
		}
	})
}

func TestAllPeopleAreThereOnce(t *testing.T) {
	each(t, func(t *testing.T, o generate.Options) {
		addresses := map[string]bool{}
		people := func(wanted int, g generate.Group, number int, email string) {
			if g.Number < 1 || g.Number > o.Groups || number > wanted || addresses[email] {
				t.Fatalf("%s, number %d of %d, is in group %d of %d, or there twice", email, number, wanted, g.Number, o.Groups)
			}
			addresses[email] = true
		}
		for u := range o.Staff() {
			people(o.Users, u.Group, u.Number, u.Email)
		}
		for c := range o.Customers() {
			people(o.Contacts, c.Group, c.Number, c.Email)
		}
		if len(addresses) != o.Users+o.Contacts {
			t.Errorf("%d people, asked for %d users and %d contacts", len(addresses), o.Users, o.Contacts)
		}
	})
}

// print spells all records.
func print(o generate.Options) []string {
	var lines []string
	for g := range o.Tree() {
		lines = append(lines, fmt.Sprint(g))
	}
	for u := range o.Staff() {
		lines = append(lines, fmt.Sprint(u))
	}
	for c := range o.Customers() {
		lines = append(lines, fmt.Sprint(c))
	}
	return lines
}

func TestTheSeedDecidesAll(t *testing.T) {
	each(t, func(t *testing.T, o generate.Options) {
		first := print(o)
		if !slices.Equal(first, print(o)) {
			t.Error("the same options give two different companies")
		}
		o.Seed += 100
		if slices.Equal(first, print(o)) {
			t.Error("two seeds give the same company")
		}
	})
}

func TestMoreContactsLeaveTheTreeAlone(t *testing.T) {
	o := generate.Options{Groups: 300, Depth: 6, Shape: generate.Branching}
	before := print(o)
	o.Contacts = 1000
	if !slices.Equal(before, print(o)[:len(before)]) {
		t.Error("another number of contacts gives another tree")
	}
}

// TestShapes looks at the numbers of children.
func TestShapes(t *testing.T) {
	fans := func(o generate.Options) []int {
		children := make([]int, o.Groups+1)
		for g := range o.Tree() {
			children[g.Parent]++
		}
		return children
	}
	chain := fans(generate.Options{Groups: 150, Depth: 40, Shape: generate.Chain})
	if chain[0] != 4 || slices.Max(chain[1:]) != 1 {
		t.Errorf("150 groups in chains of 40: %d chains, at most %d below each other group", chain[0], slices.Max(chain[1:]))
	}
	if star := fans(generate.Options{Groups: 500, Depth: 1, Shape: generate.Star}); star[0] != 500 {
		t.Errorf("%d groups around the middle of a star of 500", star[0])
	}
	tree := fans(generate.Options{Groups: 20_000, Depth: 8, Shape: generate.Branching})
	slices.Sort(tree)
	if leaves, _ := slices.BinarySearch(tree, 1); leaves < len(tree)/3 || tree[len(tree)-1] < 20 {
		t.Errorf("%d leaves of 20000 groups, at most %d children: not skewed", leaves, tree[len(tree)-1])
	}
}

func TestWhatCannotBe(t *testing.T) {
	for _, o := range []generate.Options{
		{Groups: 0, Depth: 1}, {Groups: 5, Depth: 0}, {Groups: 100, Depth: 65}, {Groups: 5, Depth: 6},
		{Groups: 5, Depth: 2, Shape: generate.Star}, {Groups: 5, Depth: 2, Users: -1}, {Groups: 5, Depth: 2, Contacts: -1},
	} {
		if o.Check() == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
