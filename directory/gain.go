package directory

import (
	"context"
	"fmt"
	"slices"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/tree"
)

// holdings is what the viewer held before a change of the tree, and where the groups stood that it touches. It is nil
// for somebody who cannot gain, because all that they hold they hold on the whole account.
type holdings struct {
	viewer *authz.Viewer
	places map[int64]authz.Place
}

// holdingsOver remembers the branches, each group with everything below it, before they are moved about or their
// walls change (ruling 18).
func (d *doing) holdingsOver(ctx context.Context, branches ...*ent.Group) (*holdings, error) {
	if cannotGain(d.viewer) {
		return nil, nil
	}
	h := &holdings{viewer: d.viewer, places: map[int64]authz.Place{}}
	for _, g := range branches {
		places, err := d.branch(ctx, g)
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			h.places[p.GroupID] = p
		}
	}
	return h, nil
}

func cannotGain(v *authz.Viewer) bool {
	return v.Permissions().Within(onAccount(v))
}

// branch returns the places of the group and of everything below it, whether or not the viewer sees them.
func (d *doing) branch(ctx context.Context, g *ent.Group) ([]authz.Place, error) {
	from, to := tree.Range(g.Path)
	return d.places(ctx, d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.PathGTE(from), group.PathLT(to)))
}

func (d *doing) places(ctx context.Context, query *ent.GroupQuery) ([]authz.Place, error) {
	groups, err := query.Select(group.FieldID, group.FieldPath, group.FieldWall).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading the places of groups: %w", err)
	}
	places := make([]authz.Place, len(groups))
	for i, g := range groups {
		places[i] = rule.PlaceOf(g)
	}
	return places, nil
}

// gained refuses a change by which the viewer came to hold a permission over anything that they did not hold it over
// before. It is asked after the change. What was in a group of heirs is now in the group named there.
func (s *Service) gained(ctx context.Context, d *doing, before *holdings, heirs map[int64]int64) error {
	if before == nil {
		return nil
	}
	after, err := s.LoadViewer(ctx, d.tx, d.viewer.UserID)
	if err != nil {
		return err
	}
	places, err := d.placesNow(ctx, before, after, heirs)
	if err != nil {
		return err
	}
	var gain authz.Set
	for id, was := range before.places {
		is, moved := heirs[id]
		if !moved {
			is = id
		}
		gain |= after.Holding(places[is]).Beyond(before.viewer.Holding(was))
	}
	// Queues reach upwards, to groups outside of what was moved; those have stayed where they were.
	for _, id := range queues(after) {
		if _, touched := before.places[id]; !touched {
			gain |= after.Holding(places[id]).Beyond(before.viewer.Holding(places[id]))
		}
	}
	escalated, err := d.gainedAbove(ctx, before, after, heirs, places)
	if err != nil {
		return err
	}
	return gainsAccess(gain | escalated)
}

// gainedAbove is what the viewer came to hold over contacts that wait in the queue of the group above too, because another
// group is above them now.
func (d *doing) gainedAbove(ctx context.Context, before *holdings, after *authz.Viewer, heirs map[int64]int64, places map[int64]authz.Place) (gain authz.Set, err error) {
	var moved []int64
	for id, was := range before.places {
		if _, gone := heirs[id]; !gone && tree.Parent(was.Path) != tree.Parent(places[id].Path) {
			moved = append(moved, id)
		}
	}
	for part := range slices.Chunk(moved, valuesAtOnce) {
		var groups []int64
		err := d.tx.Contact.Query().Where(contact.AccountID(d.account.ID), contact.GroupIDIn(part...), contact.EscalatedToIDNotNil()).
			Unique(true).Select(contact.FieldGroupID).Scan(authz.Trusted(ctx), &groups)
		if err != nil {
			return 0, fmt.Errorf("directory: looking what has escalated: %w", err)
		}
		for _, id := range groups {
			was, is := waitingAbove(before.places[id]), waitingAbove(places[id])
			for p := range after.Permissions().All() {
				if after.Can(p, is) && !before.viewer.Can(p, was) {
					gain |= authz.SetOf(p)
				}
			}
		}
	}
	return gain, nil
}

// waitingAbove is a contact that waits in the group, and in the queue of the one above.
func waitingAbove(at authz.Place) authz.Target {
	t := authz.AtContact(at, 0)
	t.Escalated = tree.Parent(at.Path)
	return t
}

// placesNow returns where the groups stand that matter after the change.
func (d *doing) placesNow(ctx context.Context, before *holdings, after *authz.Viewer, heirs map[int64]int64) (map[int64]authz.Place, error) {
	ids := queues(after)
	for id := range before.places {
		ids = append(ids, id)
	}
	for _, id := range heirs {
		ids = append(ids, id)
	}
	places := map[int64]authz.Place{}
	for part := range slices.Chunk(ids, valuesAtOnce) {
		found, err := d.places(ctx, d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.IDIn(part...)))
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			places[p.GroupID] = p
		}
	}
	return places, nil
}

// queues lists the groups whose queues the viewer reaches.
func queues(v *authz.Viewer) []int64 {
	var ids []int64
	for _, g := range v.Grants {
		ids = append(ids, g.Queues...)
	}
	return ids
}

// gainsAccess refuses a gain and names the first permission of it, which is one that the viewer holds elsewhere.
func gainsAccess(gain authz.Set) error {
	for p := range gain.All() {
		return refusal.Limit(refusal.GainsAccess, p, "at both places",
			"By this change you would get access that you do not have now.", "Ask somebody who has access to both places.")
	}
	return nil
}

// gainsOver refuses when the viewer holds more over a user at the new place than at the old one. Only permissions that
// mean something over a user count, and moving somebody else changes nothing about what the viewer holds where.
func (d *doing) gainsOver(from, to authz.Place) error {
	return gainsAccess(d.viewer.Holding(to).All & overUsers() &^ d.viewer.Holding(from).All)
}
