package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// GroupMove is the move of a branch with so many contacts that their scope rows are carried along afterwards, in
// batches. The branch stands at its new place from the beginning; package tree writes the columns.
type GroupMove struct{ ent.Schema }

// Mixin of the GroupMove.
func (GroupMove) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the GroupMove.
func (GroupMove) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("group_id"),
		field.Int("total").Comment("contacts to carry, counted at the beginning"),
		field.Int("carried").Default(0),
		field.Int("last_box").Comment("with the next two: the scope row of the group up to which all is carried"),
		field.Int64("last_sort_key"),
		field.Int64("last_contact_id"),
		field.Time("started_at").Immutable(),
		field.Time("finished_at").Optional().Nillable(),
	}
}

// Edges of the GroupMove.
func (GroupMove) Edges() []ent.Edge { return []ent.Edge{owns("group", Group.Type, "group_id")} }

// Indexes of the GroupMove.
func (GroupMove) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("group_id"),
		index.Fields("account_id", "started_at"),
		index.Fields("account_id").StorageKey("groupmove_under_way").Annotations(entsql.IndexWhere("finished_at IS NULL")),
	}
}
