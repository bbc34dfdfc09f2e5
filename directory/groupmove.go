package directory

import (
	"context"
	"fmt"
	"strconv"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/predicate"
	"canopy/ent/rule"
	"canopy/relay"
	"canopy/tree"

	"entgo.io/ent/dialect/sql"
)

// MoveGroup is the input of Service.MoveGroup.
type MoveGroup struct {
	GroupID  int64
	ParentID int64
	Reason   string

	PreviewToken *string // refuse the move unless it does what a preview of it showed; nil: no preview
}

// MovedGroup is a group at its new place.
type MovedGroup struct {
	Group *ent.Group
	// Carrying is how far the contacts of a big branch are carried to the lists of the groups above; nil when nothing is
	// left to do.
	Carrying *ent.GroupMove
}

// MoveGroup puts a group with its whole subtree under another parent. The permission is needed at the group, at its
// present parent and at the new one. Access, the tree and lists go by the new place at once; what a big branch has in
// lists is rewritten afterwards by CarryMoves.
func (s *Service) MoveGroup(ctx context.Context, in MoveGroup) (*MovedGroup, error) {
	var moved *MovedGroup
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		return s.asForeseen(ctx, d, in.PreviewToken, in.proposal(), func() (err error) {
			moved, err = s.moveGroup(ctx, d, in)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return moved, nil
}

func (s *Service) moveGroup(ctx context.Context, d *doing, in MoveGroup) (*MovedGroup, error) {
	g, parent, err := d.groupAndParent(ctx, in)
	if err != nil {
		return nil, err
	}
	reason, bad := d.reason(in.Reason)
	if err := d.foreseeMove(ctx, g, parent); err != nil {
		return nil, err
	}
	moveID, refused := s.move(ctx, d, g, parent)
	if err := foremost(refused, bad); err != nil {
		return nil, err
	}
	moved, err := d.moved(ctx, g.ID, moveID)
	if err != nil {
		return nil, err
	}
	err = d.record(ctx, audit.Event{Action: "GROUP_MOVED", TargetKind: relay.KindGroup, TargetID: g.ID, Reason: reason,
		Before: audit.Fields{"parent": groupID(*g.ParentID)},
		After:  audit.Fields{"parent": groupID(parent.ID)}})
	if err != nil {
		return nil, err
	}
	return moved, d.reviews(ctx, g.ID)
}

func (d *doing) moved(ctx context.Context, groupID, moveID int64) (moved *MovedGroup, err error) {
	moved = &MovedGroup{}
	if moved.Group, err = d.anyGroup(ctx, groupID); err != nil || moveID == 0 {
		return moved, err
	}
	if moved.Carrying, err = d.tx.GroupMove.Get(authz.Trusted(ctx), moveID); err != nil {
		return nil, fmt.Errorf("directory: loading move %d: %w", moveID, err)
	}
	return moved, nil
}

// groupAndParent loads the group and its new parent, and checks the permission at all three places.
func (d *doing) groupAndParent(ctx context.Context, in MoveGroup) (g, parent *ent.Group, err error) {
	if g, err = d.group(ctx, in.GroupID); err != nil {
		return nil, nil, err
	}
	if parent, err = d.group(ctx, in.ParentID); err != nil {
		return nil, nil, err
	}
	if err := d.may(authz.GroupsMove, authz.AtGroup(rule.PlaceOf(g)), "at this group"); err != nil {
		return nil, nil, err
	}
	if g.ParentID != nil {
		present, err := d.anyGroup(ctx, *g.ParentID)
		if err != nil {
			return nil, nil, err
		}
		if err := d.may(authz.GroupsMove, authz.AtGroup(rule.PlaceOf(present)), "at the present parent"); err != nil {
			return nil, nil, err
		}
	}
	return g, parent, d.may(authz.GroupsMove, authz.AtGroup(rule.PlaceOf(parent)), "at the new parent")
}

// move refuses what would gain access before anything else that stands in the way. It returns the number of the move
// to carry, 0 when nothing is left to do.
func (s *Service) move(ctx context.Context, d *doing, g, parent *ent.Group) (moveID int64, err error) {
	before, err := d.holdingsOver(ctx, g)
	if err != nil {
		return 0, err
	}
	taken, err := d.parkNames(ctx, g, parent, group.ID(g.ID))
	if err != nil {
		return 0, err
	}
	moveID, err = tree.Move(ctx, d.tx, tree.Moving{AccountID: d.account.ID, GroupID: g.ID, ParentID: parent.ID,
		MaxDepth: s.MaxDepth, AtOnce: tree.AtOnce, Now: d.at})
	if err != nil {
		return 0, structural(err, s.MaxDepth)
	}
	if err := s.gained(ctx, d, before, nil); err != nil {
		return 0, err
	}
	if taken {
		return 0, groupNameTaken()
	}
	return moveID, nil
}

// parkNames says whether groups that are about to go under another parent find their names taken there, and gives
// those keys that no name has: whether the viewer gains access by the move comes before that conflict (ruling 16) and
// shows only once they are there. Who finds a name taken refuses the change in the end. The group g is among what moves
// or goes; its own name is in nobody's way.
func (d *doing) parkNames(ctx context.Context, g, parent *ent.Group, moved ...predicate.Group) (taken bool, err error) {
	inTheWay := func(s *sql.Selector) {
		there := sql.Table(group.Table).As("there")
		s.Where(sql.In(s.C(group.FieldNameKey), sql.Select(there.C(group.FieldNameKey)).From(there).Where(sql.And(
			sql.EQ(there.C(group.FieldAccountID), d.account.ID), sql.EQ(there.C(group.FieldParentID), parent.ID),
			sql.NEQ(there.C(group.FieldID), g.ID)))))
	}
	ids, err := d.tx.Group.Query().Where(group.AccountID(d.account.ID), inTheWay).Where(moved...).IDs(authz.Trusted(ctx))
	if err != nil {
		return false, fmt.Errorf("directory: looking for names that are taken: %w", err)
	}
	for _, id := range ids {
		// Names have no control characters.
		err := d.tx.Group.UpdateOneID(id).SetNameKey("\x01" + strconv.FormatInt(id, 10)).Exec(authz.Trusted(ctx))
		if err != nil {
			return false, fmt.Errorf("directory: parking the name of group %d: %w", id, err)
		}
	}
	return len(ids) > 0, nil
}
