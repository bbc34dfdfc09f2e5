package rule

import (
	"context"
	"fmt"
	"slices"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/role"
	"canopy/refusal"

	"entgo.io/ent/dialect/sql"
)

// mutation is what the generated mutations have in common.
type mutation interface {
	ent.Mutation
	ID() (int64, bool)
	WhereP(...func(*sql.Selector))
	Client() *ent.Client
}

// guard is the hook of every entity.
func guard(next ent.Mutator) ent.Mutator {
	return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
		if authz.IsTrusted(ctx) {
			return next.Mutate(ctx, m)
		}
		v := authz.FromContext(ctx)
		if v == nil {
			return nil, refusal.NoViewer()
		}
		guarded, ok := m.(mutation)
		if !ok {
			return nil, fmt.Errorf("rule: a mutation of %s cannot be guarded", m.Type())
		}
		if err := check(ctx, v, guarded); err != nil {
			return nil, err
		}
		return next.Mutate(ctx, m)
	})
}

func check(ctx context.Context, v *authz.Viewer, m mutation) error {
	if m.Op().Is(ent.OpCreate) {
		if account, _ := m.Field("account_id"); account != v.AccountID {
			return refusal.NotFound("account")
		}
		return checkEdges(ctx, m)
	}
	m.WhereP(of(ctx, m.Type()))
	if m.Op().Is(ent.OpUpdateOne) && !changesColumns(m) {
		// Ent would run no UPDATE that could carry the predicate, but change edges and return the row by its id.
		id, _ := m.ID()
		if err := find(ctx, m.Client(), m.Type(), id); err != nil {
			return err
		}
	}
	return checkEdges(ctx, m)
}

func changesColumns(m ent.Mutation) bool {
	return len(m.Fields())+len(m.AddedFields())+len(m.ClearedFields()) > 0
}

// checkEdges sees to it that a row comes to point only at rows of its account. Where an edge is a column of the row
// itself the database does that: store widens every foreign key by the account. It cannot for the roles that a role
// may give; and an edge kept in rows of another table would change those unseen.
func checkEdges(ctx context.Context, m mutation) error {
	for _, edge := range slices.Concat(m.AddedEdges(), m.RemovedEdges(), m.ClearedEdges()) {
		switch {
		case isColumn(m, edge):
		case m.Type() == ent.TypeRole && (edge == role.EdgeMayGive || edge == role.EdgeGivenBy):
			if err := checkRoles(ctx, m, edge); err != nil {
				return err
			}
		default:
			return fmt.Errorf("rule: the edge %s of %s cannot be changed from this side", edge, m.Type())
		}
	}
	return nil
}

// isColumn says that the edge is stored in a column of the mutated row.
func isColumn(m ent.Mutation, edge string) bool {
	_, set := m.Field(edge + "_id")
	return set || m.FieldCleared(edge+"_id")
}

// checkRoles wants every role at the other end to be visible.
func checkRoles(ctx context.Context, m mutation, edge string) error {
	var ids []int64
	for _, id := range slices.Concat(m.AddedIDs(edge), m.RemovedIDs(edge)) {
		ids = append(ids, id.(int64))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return nil
	}
	n, err := m.Client().Role.Query().Where(role.IDIn(ids...)).Count(ctx)
	if err == nil && n != len(ids) {
		return refusal.NotFound("role")
	}
	return err
}

// find returns Ent's NotFound unless the row is visible.
func find(ctx context.Context, c *ent.Client, entity string, id int64) (err error) {
	ctx = context.WithValue(ctx, cardsKey{}, false)
	switch entity {
	case ent.TypeAccount:
		_, err = c.Account.Get(ctx, id)
	case ent.TypeGroup:
		_, err = c.Group.Get(ctx, id)
	case ent.TypeGroupRequest:
		_, err = c.GroupRequest.Get(ctx, id)
	case ent.TypeGroupMove:
		_, err = c.GroupMove.Get(ctx, id)
	case ent.TypeUser:
		_, err = c.User.Get(ctx, id)
	case ent.TypeSession:
		_, err = c.Session.Get(ctx, id)
	case ent.TypeRole:
		_, err = c.Role.Get(ctx, id)
	case ent.TypeRoleGrant:
		_, err = c.RoleGrant.Get(ctx, id)
	case ent.TypeContact:
		_, err = c.Contact.Get(ctx, id)
	case ent.TypeContactAssignment:
		_, err = c.ContactAssignment.Get(ctx, id)
	case ent.TypeHistoryEntry:
		_, err = c.HistoryEntry.Get(ctx, id)
	case ent.TypeCover:
		_, err = c.Cover.Get(ctx, id)
	case ent.TypeConversation:
		_, err = c.Conversation.Get(ctx, id)
	case ent.TypeMessage:
		_, err = c.Message.Get(ctx, id)
	case ent.TypeNote:
		_, err = c.Note.Get(ctx, id)
	case ent.TypeTag:
		_, err = c.Tag.Get(ctx, id)
	case ent.TypeConversationTag:
		_, err = c.ConversationTag.Get(ctx, id)
	case ent.TypeAuditEvent:
		_, err = c.AuditEvent.Get(ctx, id)
	case ent.TypeImportRun:
		_, err = c.ImportRun.Get(ctx, id)
	case ent.TypeReadMark:
		_, err = c.ReadMark.Get(ctx, id)
	default:
		err = fmt.Errorf("rule: %s has no rule", entity)
	}
	return err
}
