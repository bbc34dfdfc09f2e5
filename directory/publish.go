package directory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
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
		case relay.KindRole, relay.KindRoleGrant, relay.KindAccount:
			e.Kind = live.Access
		default:
			continue
		}
		key := thing{c.TargetKind, c.TargetID}
		e.Was, e.Now = d.stood[key], now[key]
		if err := live.Publish(ctx, e); err != nil {
			return err
		}
		if e.Kind == live.Group && e.Was != nil && e.Now != nil && *e.Was != *e.Now {
			if err := d.publishBranch(ctx, e.GroupID, e.Was, e.Now); err != nil {
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
	groups, err := inParts(ids[relay.KindGroup], func(part []int64) ([]*ent.Group, error) {
		return d.tx.Group.Query().Where(group.AccountID(d.account.ID), group.IDIn(part...)).All(authz.Trusted(ctx))
	})
	if err != nil {
		return nil, fmt.Errorf("directory: looking where groups stand: %w", err)
	}
	for _, g := range groups {
		at[thing{relay.KindGroup, g.ID}] = live.At(rule.PlaceOf(g))
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

// publishHeir tells that a group has taken over what was in another one.
func (d *doing) publishHeir(ctx context.Context, g, heir *ent.Group) error {
	was, now := live.At(rule.PlaceOf(g)), live.At(rule.PlaceOf(heir))
	if err := d.publishBranch(ctx, g.ID, was, now); err != nil {
		return err
	}
	return live.Publish(ctx, live.Event{AccountID: d.account.ID, Kind: live.Group, GroupID: heir.ID, Was: now, Now: now, At: d.at})
}

// publishSessions tells that sessions of the user have ended.
func publishSessions(ctx context.Context, accountID, userID int64, at time.Time) error {
	return live.Publish(ctx, live.Event{AccountID: accountID, Kind: live.Access, UserID: userID, At: at})
}
