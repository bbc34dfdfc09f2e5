package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/group"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/live"
	"canopy/relay"
	"canopy/tree"
)

// publish tells subscribers what recorded changes are about: groups, with their contacts if they have come to another
// place, users and rights.
func (d *doing) publish(ctx context.Context, changes []audit.Event) error {
	now, err := d.whereNow(ctx, changes)
	if err != nil {
		return err
	}
	for _, c := range changes {
		e := live.Event{AccountID: d.account.ID, At: d.at}
		switch c.TargetKind {
		case relay.KindGroup:
			e.Kind, e.GroupID = live.Group, c.TargetID
		case relay.KindUser:
			e.Kind, e.UserID = live.User, c.TargetID
		case relay.KindRole, relay.KindRoleGrant:
			e.Kind = live.Access
		case relay.KindAccount:
			e.Kind = live.Account
		default:
			continue
		}
		key := thing{c.TargetKind, c.TargetID}
		e.Was, e.Now = d.stood[key], now[key]
		if err := live.Publish(ctx, e); err != nil {
			return err
		}
		if e.Kind == live.Group && e.Was != nil && e.Now != nil && *e.Was != *e.Now {
			if err := d.publishMove(ctx, e.GroupID, *e.Was, *e.Now); err != nil {
				return err
			}
		}
		if c.Action == settingsUpdated {
			if e.Kind = live.Settings; e.Now == nil {
				continue
			}
			if err := live.Publish(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// thing names what a change is about.
type thing struct {
	kind relay.Kind
	id   int64
}

// remember keeps where something stood when it was loaded first.
func (d *doing) remember(kind relay.Kind, id int64, at *live.Stand) {
	if d.stood == nil {
		d.stood = map[thing]*live.Stand{}
	}
	if key := (thing{kind, id}); d.stood[key] == nil {
		d.stood[key] = at
	}
}

// whereNow returns where the groups and users that were changed stand now.
func (d *doing) whereNow(ctx context.Context, changes []audit.Event) (map[thing]*live.Stand, error) {
	ids := map[relay.Kind][]int64{}
	for _, c := range changes {
		ids[c.TargetKind] = append(ids[c.TargetKind], c.TargetID)
	}
	at := map[thing]*live.Stand{}
	groups, err := d.groupsNow(ctx, ids[relay.KindGroup])
	if err != nil {
		return nil, err
	}
	for id, stand := range groups {
		at[thing{relay.KindGroup, id}] = stand
	}
	users, err := inParts(ids[relay.KindUser], func(part []int64) ([]*ent.User, error) {
		return d.tx.User.Query().Where(user.AccountID(d.account.ID), user.IDIn(part...)).All(authz.Trusted(ctx))
	})
	if err != nil {
		return nil, fmt.Errorf("directory: looking where users stand: %w", err)
	}
	for _, u := range users {
		at[thing{relay.KindUser, u.ID}] = &live.Stand{GroupID: u.HomeGroupID}
	}
	return at, nil
}

// groupsNow returns where groups stand now.
func (d *doing) groupsNow(ctx context.Context, ids []int64) (map[int64]*live.Stand, error) {
	groups, err := inParts(ids, func(part []int64) ([]*ent.Group, error) {
		return d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.IDIn(part...)).All(authz.Trusted(ctx))
	})
	if err != nil {
		return nil, fmt.Errorf("directory: looking where groups stand: %w", err)
	}
	at := make(map[int64]*live.Stand, len(groups))
	for _, g := range groups {
		at[g.ID] = live.At(rule.PlaceOf(g))
	}
	return at, nil
}

// inParts loads rows by their ids, of which one statement takes only so many.
func inParts[T any](ids []int64, load func(part []int64) ([]T, error)) ([]T, error) {
	var all []T
	for part := range slices.Chunk(ids, valuesAtOnce) {
		list, err := load(part)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// publishBranch tells that what is in a group and below it is in other lists now, if there are contacts.
func (d *doing) publishBranch(ctx context.Context, groupID int64, was, now *live.Stand) error {
	counters, err := tree.CountersOf(ctx, d.tx, []int64{now.GroupID})
	to := *now
	if to.Held = counters[now.GroupID]; err != nil || to.Held.Contacts == 0 {
		return err
	}
	return live.Publish(ctx, live.Event{AccountID: d.account.ID, Kind: live.Branch, GroupID: groupID, Was: was, Now: &to, At: d.at})
}

// publishMove tells that what is in a group and below it has come along with it, and into the queue of the group above.
func (d *doing) publishMove(ctx context.Context, groupID int64, was, now live.Stand) error {
	escalates, err := d.escalatedFrom(ctx, groupID)
	if err != nil {
		return err
	}
	if escalates {
		was.Escalated, now.Escalated = tree.Parent(was.Path), tree.Parent(now.Path)
	}
	return d.publishBranch(ctx, groupID, &was, &now)
}

// escalatedFrom says whether contacts that wait in the group show in the queue above, too.
func (d *doing) escalatedFrom(ctx context.Context, groupID int64) (bool, error) {
	some, err := d.tx.Contact.Query().Where(contact.AccountID(d.account.ID), contact.GroupID(groupID), contact.EscalatedToIDNotNil()).Exist(authz.Trusted(ctx))
	if err != nil {
		return false, fmt.Errorf("directory: looking for what escalated from group %d: %w", groupID, err)
	}
	return some, nil
}

// estate is what only the queue of a group tells that is about to be dissolved.
type estate struct {
	escalates bool                  // contacts of the group show in the queue above
	below     map[int64]*live.Stand // groups whose contacts show in its own, as they stand before
}

func (d *doing) estateOf(ctx context.Context, g *ent.Group) (e estate, err error) {
	if e.escalates, err = d.escalatedFrom(ctx, g.ID); err != nil {
		return e, err
	}
	var ids []int64
	err = d.tx.Contact.Query().Where(contact.AccountID(d.account.ID), contact.EscalatedToID(g.ID)).
		Unique(true).Select(contact.FieldGroupID).Scan(authz.Trusted(ctx), &ids)
	if err != nil {
		return e, fmt.Errorf("directory: looking for what escalated to group %d: %w", g.ID, err)
	}
	e.below, err = d.groupsNow(ctx, ids)
	return e, err
}

// publishHeir tells that a group has taken over what was in another one, and its queue.
func (d *doing) publishHeir(ctx context.Context, g, heir *ent.Group, e estate) error {
	was, now := live.At(rule.PlaceOf(g)), live.At(rule.PlaceOf(heir))
	if e.escalates {
		was.Escalated = tree.Parent(g.Path)
	}
	if err := d.publishBranch(ctx, g.ID, was, now); err != nil {
		return err
	}
	ids := slices.Sorted(maps.Keys(e.below))
	below, err := d.groupsNow(ctx, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		was, now := e.below[id], below[id]
		was.Escalated, now.Escalated = g.ID, heir.ID
		if err := d.publishBranch(ctx, id, was, now); err != nil {
			return err
		}
	}
	return live.Publish(ctx, live.Event{AccountID: d.account.ID, Kind: live.Group, GroupID: heir.ID, Was: now, Now: now, At: d.at})
}

// publishSessions tells that sessions of the user have begun or ended.
func publishSessions(ctx context.Context, accountID, userID int64, at time.Time) error {
	return live.Publish(ctx, live.Event{AccountID: accountID, Kind: live.Access, UserID: userID, At: at})
}
