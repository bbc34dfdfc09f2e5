package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/tree"
)

// Batch is a part of an import: rows that are checked one by one, by the rules of single changes, and written together
// in one transaction. What earlier rows made counts for later ones.
type Batch struct {
	s      *Service
	d      *doing
	plan   *Plan
	dry    bool
	reason string
	places map[string]spot // by the folded names of a path
	folded map[string]string
	tops   map[string][]tree.Spot
	root   *tree.Spot // nil when the viewer does not see it
}

// Plan is what the earlier batches of a dry run would have made, about 300 bytes for each row.
type Plan struct {
	groups map[tree.Child]tree.Spot
	emails map[string]bool
	last   int64 // number of the group that was planned last; they count down from the highest that there can be
}

// NewPlan returns the plan with which a dry run begins.
func NewPlan() *Plan {
	return &Plan{groups: map[tree.Child]tree.Spot{}, emails: map[string]bool{}, last: tree.MaxID + 1}
}

// Imported is what became of one row.
type Imported struct {
	ID         int64  // of what was made or is there; 0 in a dry run
	Existed    bool   // it was there already, and stays as it is
	SetupToken string // of a user that was made
	Refused    error  // why the row was refused; the rest is empty then
}

// BeginBatch judges the viewer of ctx anew, under the account's shared lock for groups and contacts, exclusive for
// users, and returns the context in which the batch runs. It refuses a missing reason where the account wants one.
// With a plan it is a dry run, and nothing is written.
func (s *Service) BeginBatch(ctx context.Context, tx *ent.Tx, users bool, reason string, plan *Plan) (context.Context, *Batch, error) {
	asking := authz.FromContext(ctx)
	lock := tree.LockShared
	if users {
		lock = tree.LockExclusive
	}
	if err := lock(ctx, tx, asking.AccountID); err != nil {
		return nil, nil, err
	}
	d, err := s.begin(ctx, tx, asking)
	if err != nil {
		return nil, nil, err
	}
	b := &Batch{s: s, d: d, plan: plan, dry: plan != nil, places: map[string]spot{}, folded: map[string]string{}}
	if plan == nil {
		b.plan = NewPlan()
	}
	if b.reason, err = d.reason(reason); err != nil {
		return nil, nil, err
	}
	ctx = authz.NewContext(ctx, d.viewer)
	return ctx, b, b.findTops(ctx)
}

// spot is what a path leads to.
type spot struct {
	tree.Spot
	there     bool // somewhere, whether or not the viewer sees it
	seen      bool
	ambiguous bool // to more than one group that the viewer sees
}

func (p spot) place() authz.Place { return authz.Place{GroupID: p.ID, Path: p.Path, Wall: p.Wall} }

// A path names a group as the viewer sees the tree: by the names from below the root, or, where they do not see all
// the way up, from the topmost group that they see. So it tells nobody the name of a group that is hidden from them.

// findTops finds the groups with which paths begin that do not begin below the root.
func (b *Batch) findTops(ctx context.Context) error {
	reach := b.d.viewer.Reach(authz.GroupsView)
	ids := append([]int64{b.d.viewer.Home.GroupID, tree.IDs(b.d.viewer.Home.Path)[0]}, reach.Groups...)
	for _, p := range reach.Subtrees {
		ids = append(ids, p.GroupID)
	}
	seen, err := b.d.tx.Group.Query().Where(group.IDIn(ids...)).All(ctx)
	if err != nil {
		return fmt.Errorf("directory: loading the topmost groups: %w", err)
	}
	parents := []int64{}
	for _, g := range seen {
		if g.ParentID != nil {
			parents = append(parents, *g.ParentID)
		}
	}
	above, err := b.d.tx.Group.Query().Where(group.IDIn(parents...)).IDs(ctx)
	if err != nil {
		return fmt.Errorf("directory: looking above the topmost groups: %w", err)
	}
	b.tops = map[string][]tree.Spot{}
	for _, g := range seen {
		at := tree.Spot{ID: g.ID, Path: g.Path, Wall: g.Wall, Depth: g.Depth}
		switch {
		case g.ParentID == nil:
			b.root = &at
		case !slices.Contains(above, *g.ParentID):
			b.tops[g.NameKey] = append(b.tops[g.NameKey], at)
		}
	}
	return nil
}

// keysOf returns the key of a path in Batch.places, and that of its parent.
func (b *Batch) keysOf(path []string) (key, parent string) {
	folded := make([]string, len(path))
	for i, name := range path {
		folded[i] = "\x00" + b.fold(name)
	}
	if len(path) == 0 {
		return "", ""
	}
	parent = strings.Join(folded[:len(path)-1], "")
	return parent + folded[len(path)-1], parent
}

// fold is fold.Key, each name once: paths of one file share most of theirs.
func (b *Batch) fold(name string) string {
	key, known := b.folded[name]
	if !known {
		key = fold.Key(name)
		b.folded[name] = key
	}
	return key
}

// learn looks up what the paths and everything above them lead to, by one statement for each level.
func (b *Batch) learn(ctx context.Context, paths [][]string) error {
	if b.root != nil {
		b.places[""] = b.judge(*b.root)
	}
	for level := range slices.Max(append(lengths(paths), 0)) {
		asked := map[string]tree.Child{}
		children := []tree.Child{}
		for _, path := range paths {
			if len(path) <= level {
				continue
			}
			key, above := b.keysOf(path[:level+1])
			if _, known := b.places[key]; known {
				continue
			}
			at, known := b.places[above]
			child := tree.Child{ParentID: at.ID, NameKey: b.fold(path[level])}
			if _, twice := asked[key]; !twice && known && at.there {
				children = append(children, child)
			}
			asked[key] = child
		}
		found := map[tree.Child]tree.Spot{}
		if len(children) > 0 {
			var err error
			if found, err = tree.FindChildren(ctx, b.d.tx, b.d.account.ID, children); err != nil {
				return err
			}
		}
		for key, child := range asked {
			b.places[key] = b.lookUp(child, found, level)
		}
	}
	return nil
}

func lengths(paths [][]string) []int {
	n := make([]int, len(paths))
	for i, p := range paths {
		n[i] = len(p)
	}
	return n
}

// lookUp chooses among what is there, what is planned and, at the first level, the topmost groups.
func (b *Batch) lookUp(child tree.Child, found map[tree.Child]tree.Spot, level int) spot {
	at, there := found[child]
	if !there {
		at, there = b.plan.groups[child]
	}
	var p spot
	if there {
		p = b.judge(at)
	}
	if level > 0 {
		return p
	}
	tops := b.tops[child.NameKey]
	switch {
	case len(tops) == 0:
	case len(tops) > 1 || p.seen:
		return spot{ambiguous: true}
	default:
		return b.judge(tops[0])
	}
	return p
}

// judge says whether the viewer sees the group, as the row rule of groups does.
func (b *Batch) judge(at tree.Spot) spot {
	p := spot{Spot: at, there: true}
	p.seen = at.ID == b.d.viewer.Home.GroupID || b.d.viewer.Can(authz.GroupsView, authz.AtGroup(p.place()))
	return p
}

// at returns the group that a path leads to, which was learnt before, if the viewer sees it.
func (b *Batch) at(field string, key string) (spot, error) {
	p := b.places[key]
	switch {
	case p.ambiguous:
		return spot{}, ambiguous(field)
	case !p.seen:
		return spot{}, noSuch(field, "group")
	}
	return p, nil
}

// Groups returns where the groups of the paths stand: the place of one that the viewer sees, or why there is none.
func (b *Batch) Groups(ctx context.Context, field string, paths [][]string) ([]authz.Place, []error, error) {
	if err := b.learn(ctx, paths); err != nil {
		return nil, nil, err
	}
	places, refused := make([]authz.Place, len(paths)), make([]error, len(paths))
	for i, path := range paths {
		key, _ := b.keysOf(path)
		var p spot
		p, refused[i] = b.at(field, key)
		places[i] = p.place()
	}
	return places, refused, nil
}

// Users returns the ids of the users with those e-mail addresses whom the viewer sees, by EmailKey.
func (b *Batch) Users(ctx context.Context, emails []string) (map[string]int64, error) {
	ids := map[string]int64{}
	keys := make([]string, len(emails))
	for i, email := range emails {
		keys[i] = EmailKey(email)
	}
	if len(keys) == 0 {
		return ids, nil
	}
	found, err := b.d.tx.User.Query().Where(user.AccountID(b.d.account.ID), user.EmailKeyIn(keys...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("directory: looking for users by e-mail: %w", err)
	}
	for _, u := range found {
		ids[u.EmailKey] = u.ID
	}
	return ids, nil
}

// noSuch refuses a row that names something that is not there, or that the viewer may not see.
func noSuch(field, what string) error { return refusal.NotFound(what).At(field) }

func ambiguous(field string) error {
	return refusal.Conflict("", "You see more than one group with this path. Rename one of them first.").At(field)
}

func isRefusal(err error) bool {
	var r *refusal.Refusal
	return errors.As(err, &r)
}
