package directory

import (
	"context"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/group"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/tree"
)

// ImportGroup is a group to create, unless it is there.
type ImportGroup struct {
	Path       []string
	Visibility group.Visibility    // empty: INHERITED
	Settings   UpdateGroupSettings // of a group without id
}

func (in ImportGroup) restricted() bool { return in.Visibility == group.VisibilityRESTRICTED }

func (in ImportGroup) check() error {
	if in.Visibility != "" && group.VisibilityValidator(in.Visibility) != nil {
		return refusal.BadInput("visibility", "%q is not a visibility. Give INHERITED or RESTRICTED.", in.Visibility)
	}
	if in.Settings.empty() {
		return nil
	}
	return in.Settings.check()
}

// plannedGroup is a group that passed all checks.
type plannedGroup struct {
	row    int
	in     ImportGroup
	name   string
	parent int64
	at     tree.Spot
}

// ImportGroups creates the groups that are not there yet, and says of each row what became of it. A row needs what the
// single changes need: GROUPS_CREATE at the group above, there also GROUPS_EDIT to be RESTRICTED and INBOX_SETTINGS_EDIT
// to have settings. Where groups are created ON_REQUEST none is imported.
func (b *Batch) ImportGroups(ctx context.Context, rows []ImportGroup) ([]Imported, error) {
	paths := make([][]string, len(rows))
	for i, in := range rows {
		paths[i] = in.Path
	}
	if err := b.learn(ctx, paths); err != nil {
		return nil, err
	}
	next, err := b.numbers(ctx, len(rows))
	if err != nil {
		return nil, err
	}
	out, planned := make([]Imported, len(rows)), []plannedGroup{}
	for i, in := range rows {
		g, existing, err := b.planGroup(in)
		switch {
		case err != nil:
			out[i].Refused = err
			if !isRefusal(err) {
				return nil, err
			}
		case b.dry && existing >= b.plan.last: // an earlier row would have made it
			out[i] = Imported{Existed: true}
		case existing != 0:
			out[i] = Imported{ID: existing, Existed: true}
		default:
			g.row = i
			g.at.ID = next()
			b.place(&g)
			planned = append(planned, g)
		}
	}
	if b.dry {
		return out, nil
	}
	for _, g := range planned {
		out[g.row].ID = g.at.ID
	}
	return out, b.createGroups(ctx, planned)
}

// numbers returns where the ids of groups come from: reserved ones, or in a dry run ones that no group has.
func (b *Batch) numbers(ctx context.Context, n int) (func() int64, error) {
	if b.dry {
		return func() int64 { b.plan.last--; return b.plan.last }, nil
	}
	ids, err := tree.ReserveGroupIDs(ctx, b.d.tx, n)
	return func() int64 {
		id := ids[0]
		ids = ids[1:]
		return id
	}, err
}

// planGroup checks a row. It returns the id of the group if the viewer sees it there already.
func (b *Batch) planGroup(in ImportGroup) (g plannedGroup, existing int64, err error) {
	if len(in.Path) == 0 {
		return g, 0, refusal.BadInput("path", "The path is empty. The root is there already; name a group below it.")
	}
	key, above := b.keysOf(in.Path)
	if p := b.places[key]; p.seen {
		return g, p.ID, nil
	} else if p.ambiguous {
		return g, 0, ambiguous("path")
	}
	parent, err := b.at("path", above)
	if err != nil {
		return g, 0, err
	}
	g = plannedGroup{in: in, parent: parent.ID, at: tree.Spot{Path: parent.Path, Wall: parent.Wall, Depth: parent.Depth + 1}}
	name, err := b.d.mayCreateGroup(parent.place(), in.Path[len(in.Path)-1])
	g.name = name
	// The new group stands where the one above stands, as far as permissions at it are concerned, and is not yet walled.
	is := authz.Place{GroupID: -1, Path: parent.Path + tree.Label(0), Wall: parent.Wall}
	var mayEdit, maySet error
	if in.restricted() {
		mayEdit = refusal.Blame(b.d.mayEditGroup(is), "visibility")
	}
	if !in.Settings.empty() {
		maySet = b.d.mayEditSettings(is)
	}
	return g, 0, foremost(refusal.Blame(err, "path"), mayEdit, maySet, in.check(), b.createsAtOnce(),
		b.s.admitsGroup(b.d, g.at.Depth, b.places[key].there))
}

func (b *Batch) createsAtOnce() error {
	if b.d.account.GroupCreation != account.GroupCreationON_REQUEST {
		return nil
	}
	return refusal.Conflict("", "In this account groups are created on request only. Request them one by one.")
}

// place makes a planned group known to later rows.
func (b *Batch) place(g *plannedGroup) {
	g.at.Path += tree.Label(g.at.ID)
	if g.in.restricted() {
		g.at.Wall = g.at.Path
	}
	key, _ := b.keysOf(g.in.Path)
	b.places[key] = b.judge(g.at)
	if b.dry {
		b.plan.groups[tree.Child{ParentID: g.parent, NameKey: fold.Key(g.name)}] = g.at
	}
}

// createGroups writes what was planned, and the events that the single changes would leave.
func (b *Batch) createGroups(ctx context.Context, planned []plannedGroup) error {
	groups := make([]tree.NewGroup, len(planned))
	for i, g := range planned {
		groups[i] = tree.NewGroup{ID: g.at.ID, AccountID: b.d.account.ID, ParentID: &planned[i].parent, Name: g.name,
			NameKey: fold.Key(g.name), Restricted: g.in.restricted(), Now: b.d.at}
	}
	if err := tree.CreateAll(ctx, b.d.tx, groups, b.s.MaxDepth); err != nil {
		return err
	}
	events := make([]audit.Event, 0, len(planned))
	for _, g := range planned {
		events = append(events, groupCreated(g.at.ID, g.name, g.parent, b.reason))
		if !g.in.Settings.empty() {
			// Whether the viewer sees the group does not matter any more: it may be behind its own wall already.
			_, event, err := b.d.changeSettings(authz.Trusted(ctx), &ent.Group{ID: g.at.ID}, g.in.Settings)
			if err != nil {
				return err
			}
			events = append(events, event)
		}
		if g.in.restricted() {
			was := &ent.Group{ID: g.at.ID, Name: g.name, Visibility: group.VisibilityINHERITED}
			is := *was
			is.Visibility = group.VisibilityRESTRICTED
			events = append(events, groupUpdated(was, &is, b.reason))
		}
	}
	return b.d.record(ctx, events...)
}
