package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// GroupRequest is the wish for a group in an account where groups are created ON_REQUEST; a platform operator
// approves or refuses it.
type GroupRequest struct{ ent.Schema }

// Mixin of the GroupRequest.
func (GroupRequest) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the GroupRequest.
func (GroupRequest) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("parent_id"),
		field.String("name").NotEmpty().MaxRuneLen(100),
		field.Int64("requested_by_id"),
		field.String("reason").Default("").MaxRuneLen(1000),
		field.Enum("status").Values("PENDING", "APPROVED", "REFUSED").Default("PENDING"),
		field.String("decision_note").Default("").MaxRuneLen(1000),
		field.Int64("group_id").Optional().Nillable().Comment("the group that the approval made"),
		field.Time("decided_at").Optional().Nillable(),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the GroupRequest.
func (GroupRequest) Edges() []ent.Edge {
	return []ent.Edge{
		owns("parent", Group.Type, "parent_id"),
		required("requested_by", User.Type, "requested_by_id"),
		references("group", Group.Type, "group_id"),
	}
}

// Indexes of the GroupRequest.
func (GroupRequest) Indexes() []ent.Index {
	return []ent.Index{index.Fields("account_id", "status"), index.Fields("parent_id"), index.Fields("group_id")}
}
