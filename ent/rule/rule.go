// Package rule holds the row rules: one predicate for each entity, put on every query and on every update and delete,
// so that a forgotten check elsewhere leaks nothing.
//
// Each predicate is built from authz.Viewer.Reach of the viewer in the context and from nothing else. Without a viewer
// there are no rows and every mutation is refused; a row that is not visible can be neither changed nor deleted and
// ends as Ent's NotFound, or as 0 rows of a bulk operation. authz.Trusted lifts the rules.
//
// What the rules do not cover, because Ent runs nothing there: raw SQL (packages tree, desk and store), and edge
// predicates such as HasGroupWith, which look at rows that the viewer may not see. The rules also do not decide
// whether a visible row may be changed in a certain way; directives and use-cases do.
package rule

import (
	"context"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/intercept"

	"entgo.io/ent/dialect/sql"
)

// Install puts the rules on everything that the client, and every transaction it begins, reads and changes.
func Install(c *ent.Client) {
	c.Intercept(intercept.TraverseFunc(func(ctx context.Context, q intercept.Query) error {
		q.WhereP(ofQuery(ctx, q.Type()))
		return nil
	}))
	c.Use(guard)
}

// Predicate narrows a select, an update or a delete to what the viewer may see. It spells its columns as those of the
// selector's table, so it can stand inside a nested select too.
type Predicate = func(*sql.Selector)

// ofQuery is the predicate for reading an entity.
func ofQuery(ctx context.Context, entity string) Predicate {
	if entity == ent.TypeUser && asCards(ctx) {
		return Cards(ctx)
	}
	return of(ctx, entity)
}

// of is the one list of rules. An entity that is not in it has no visible rows.
func of(ctx context.Context, entity string) Predicate {
	switch entity {
	case ent.TypeAccount:
		return Accounts(ctx)
	case ent.TypeGroup:
		return Groups(ctx)
	case ent.TypeGroupRequest:
		return GroupRequests(ctx)
	case ent.TypeGroupMove:
		return GroupMoves(ctx)
	case ent.TypeUser:
		return Users(ctx)
	case ent.TypeSession:
		return Sessions(ctx)
	case ent.TypeRole:
		return Roles(ctx)
	case ent.TypeRoleGrant:
		return RoleGrants(ctx)
	case ent.TypeContact:
		return Contacts(ctx)
	case ent.TypeContactAssignment:
		return ContactAssignments(ctx)
	case ent.TypeHistoryEntry:
		return HistoryEntries(ctx)
	case ent.TypeCover:
		return Covers(ctx)
	case ent.TypeConversation:
		return Conversations(ctx)
	case ent.TypeMessage:
		return Messages(ctx)
	case ent.TypeNote:
		return Notes(ctx)
	case ent.TypeTag:
		return Tags(ctx)
	case ent.TypeConversationTag:
		return ConversationTags(ctx)
	case ent.TypeAuditEvent:
		return AuditEvents(ctx)
	case ent.TypeImportRun:
		return ImportRuns(ctx)
	case ent.TypeReadMark:
		return ReadMarks(ctx)
	}
	return nothing
}

func nothing(s *sql.Selector)    { s.Where(sql.False()) }
func everything(_ *sql.Selector) {}

// limited makes a predicate of a rule: nothing without a viewer, everything in a trusted context.
func limited(ctx context.Context, rule func(v *authz.Viewer, row row) clause) Predicate {
	if authz.IsTrusted(ctx) {
		return everything
	}
	v := authz.FromContext(ctx)
	if v == nil {
		return nothing
	}
	return func(s *sql.Selector) { s.Where(sql.P(rule(v, s.C))) }
}

type cardsKey struct{}

// AsCards returns a context in which queries for users find those whose agent card the viewer sees (ruling 6) instead
// of those whose record they see. Changing a user takes the record all the same.
func AsCards(ctx context.Context) context.Context { return context.WithValue(ctx, cardsKey{}, true) }

func asCards(ctx context.Context) bool {
	cards, _ := ctx.Value(cardsKey{}).(bool)
	return cards
}
