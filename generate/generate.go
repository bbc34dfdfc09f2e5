// Package generate makes up companies of any size: a tree of groups with users and contacts. The same options give the
// same company, record by record, and no more of it is in memory at a time than the way from the root to one group and
// the groups beside it.
//
// It only says what there is. Package bulk puts it into an account, by the rules by which it imports anything else.
package generate

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
)

// Shape is what a tree looks like.
type Shape string

// The shapes.
const (
	Branching Shape = "branching" // few groups with much below them, many with little, as companies grow
	Chain     Shape = "chain"     // one below the other down to the depth, then the next chain
	Star      Shape = "star"      // all directly below the root
)

// Options say how large a company is. It stands below a root that is there already and has depth 0.
type Options struct {
	Groups   int // besides the root
	Depth    int // of the deepest group, at least 1; there are as many groups at least
	Users    int
	Contacts int
	Seed     uint64
	Shape    Shape
}

// MaxDepth is the greatest depth that can be asked for.
const MaxDepth = 64

// Check says what is wrong with the options, by the names of the flags of the command.
func (o Options) Check() error {
	switch {
	case o.Groups < 1:
		return fmt.Errorf("--groups is %d; it is at least 1", o.Groups)
	case o.Depth < 1 || o.Depth > MaxDepth:
		return fmt.Errorf("--depth is %d; it is 1 to %d", o.Depth, MaxDepth)
	case o.Shape == Star && o.Depth != 1:
		return fmt.Errorf("--depth is %d; a star has depth 1", o.Depth)
	case o.Groups < o.Depth:
		return fmt.Errorf("--groups is %d; a depth of %d takes at least as many groups", o.Groups, o.Depth)
	case o.Users < 0 || o.Contacts < 0:
		return fmt.Errorf("--users is %d and --contacts is %d; neither is below 0", o.Users, o.Contacts)
	}
	return nil
}

// Group is one group. Parents come before their children.
type Group struct {
	Number int      // from 1, in the order of the stream
	Parent int      // the number of the group above, 0 for the root
	Path   []string // names from below the root down to the group's own; not to be kept or changed
}

// Name is the group's own name.
func (g Group) Name() string { return g.Path[len(g.Path)-1] }

// Depth is how far below the root the group is.
func (g Group) Depth() int { return len(g.Path) }

// The kinds of records have dice of their own, so that more contacts do not change the tree.
const (
	diceOfTree = iota
	diceOfUsers
	diceOfContacts
)

func (o Options) dice(kind uint64) *rand.Rand { return rand.New(rand.NewPCG(o.Seed, kind)) }

// Tree returns all groups.
func (o Options) Tree() iter.Seq[Group] {
	return func(yield func(Group) bool) {
		p := planter{shape: o.Shape, dice: o.dice(diceOfTree), yield: yield, path: make([]string, 0, o.Depth)}
		p.plant(0, o.Groups, o.Depth, true)
	}
}

// planter is a stream of groups under way.
type planter struct {
	shape Shape
	dice  *rand.Rand
	yield func(Group) bool
	path  []string // of the group below which it plants
	count int
}

// plant puts so many groups below the parent, in at most so many levels, and in exactly so many if they have to be
// reached. It returns false when nobody wants more.
func (p *planter) plant(parent, groups, levels int, reach bool) bool {
	sizes, deepest := p.split(groups, levels, reach)
	for i, size := range sizes {
		p.count++
		p.path = append(p.path, groupName(p.dice, i))
		g := Group{Number: p.count, Parent: parent, Path: p.path}
		if !p.yield(g) || !p.plant(g.Number, size-1, levels-1, reach && i == deepest) {
			return false
		}
		p.path = p.path[:len(p.path)-1]
	}
	return true
}

// split divides groups into branches, each of at least one group, and says which of them has enough for all levels if
// they have to be reached.
func (p *planter) split(groups, levels int, reach bool) (sizes []int, deepest int) {
	switch {
	case groups == 0:
		return nil, 0
	case p.shape == Chain:
		return chains(groups, levels), 0
	case levels == 1:
		return ones(groups), 0
	}
	first := 1
	if reach {
		first = levels
	}
	sizes = ones(min(p.fanOut(groups, levels), groups-first+1))
	sizes[0] = first
	share(sizes, groups-first-len(sizes)+1)
	// The largest branch comes first so far.
	deepest = p.dice.IntN(len(sizes))
	sizes[0], sizes[deepest] = sizes[deepest], sizes[0]
	return sizes, deepest
}

// chains divides groups into chains of all levels, the last of which may be shorter. Within a chain that is one.
func chains(groups, levels int) []int {
	var sizes []int
	for ; groups > 0; groups -= levels {
		sizes = append(sizes, min(groups, levels))
	}
	return sizes
}

// fanOut throws the dice for a number of children: a quarter to four times what an even tree would have, the small
// numbers more often.
func (p *planter) fanOut(groups, levels int) int {
	even := math.Pow(float64(groups), 1/float64(levels))
	return max(1, int(math.Round(even*math.Pow(4, 2*p.dice.Float64()-1))))
}

// share divides so many among the sizes in the proportion of 1, 1/2, 1/3 and so on.
func share(sizes []int, more int) {
	var whole float64
	for i := range sizes {
		whole += 1 / float64(i+1)
	}
	var sum float64
	given := 0
	for i := range sizes {
		sum += 1 / float64(i+1)
		due := int(math.Round(sum / whole * float64(more)))
		sizes[i] += due - given
		given = due
	}
}

func ones(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = 1
	}
	return list
}

// User is somebody who works in a group.
type User struct {
	Group       Group
	Number      int // from 1
	Name, Email string
}

// Contact is somebody whom a group serves.
type Contact struct {
	Group       Group
	Number      int // from 1
	Name, Email string
	Phone       string // empty when all numbers that are kept for fiction are given out
}

// Staff returns all users, in the order of their groups.
func (o Options) Staff() iter.Seq[User] {
	return func(yield func(User) bool) {
		dice := o.dice(diceOfUsers)
		o.spread(dice, o.Users, func(g Group, number int) bool {
			name := personName(dice)
			return yield(User{Group: g, Number: number, Name: name, Email: address("user", number)})
		})
	}
}

// Customers returns all contacts, in the order of their groups.
func (o Options) Customers() iter.Seq[Contact] {
	return func(yield func(Contact) bool) {
		dice := o.dice(diceOfContacts)
		o.spread(dice, o.Contacts, func(g Group, number int) bool {
			name := personName(dice)
			return yield(Contact{Group: g, Number: number, Name: name, Email: address("contact", number), Phone: phone(number)})
		})
	}
}

// spread deals so many people out to the groups: three of four groups have none, the others on average four times
// their share.
func (o Options) spread(dice *rand.Rand, people int, to func(g Group, number int) bool) {
	given := 0
	for g := range o.Tree() {
		if g.Number < o.Groups && dice.IntN(4) > 0 {
			continue
		}
		for due := int(int64(people) * int64(g.Number) / int64(o.Groups)); given < due; {
			given++
			if !to(g, given) {
				return
			}
		}
	}
}
