package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// methods are how assignments come about.
var methods = []string{"CLAIM", "OPENED", "ASSIGNED", "TRANSFERRED", "HANDED_OVER", "ROUND_ROBIN", "RADAR", "COVERED", "BROUGHT_BACK"}

// ContactAssignment is one period during which one user serves one contact.
type ContactAssignment struct{ ent.Schema }

// Mixin of the ContactAssignment.
func (ContactAssignment) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the ContactAssignment.
func (ContactAssignment) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("contact_id"),
		field.Int64("user_id"),
		field.Int64("assigned_by_id").Optional().Nillable().Comment("empty: Canopy itself"),
		field.Enum("method").Values(methods...).Immutable(),
		field.String("explanation").MaxRuneLen(1000).Comment("why it went there, in words"),
		field.Int64("taken_from_group_id").Optional().Nillable().
			Comment("the group in whose queue the contact waited; empty when it did not wait"),
		field.Int64("escalated_to_id").Optional().Nillable().Immutable().Comment("the group above in whose queue it waited too"),
		field.Int64("offered_to_id").Optional().Nillable().Immutable().Comment("the user to whom it was on offer"),
		field.Time("started_at").Immutable(),
		field.Time("ended_at").Optional().Nillable(),
	}
}

// Edges of the ContactAssignment.
func (ContactAssignment) Edges() []ent.Edge {
	return []ent.Edge{
		owns("contact", Contact.Type, "contact_id"),
		required("user", User.Type, "user_id"),
		references("assigned_by", User.Type, "assigned_by_id"),
		references("taken_from_group", Group.Type, "taken_from_group_id"),
	}
}

// Indexes of the ContactAssignment.
func (ContactAssignment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("contact_id").Unique().StorageKey("assignment_one_current").Annotations(entsql.IndexWhere("ended_at IS NULL")),
		index.Fields("contact_id", "started_at"),
		index.Fields("user_id", "started_at"),
		index.Fields("taken_from_group_id"),
	}
}
