package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Cover is a time during which one user serves what comes to another one.
type Cover struct{ ent.Schema }

// Mixin of the Cover.
func (Cover) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Cover.
func (Cover) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("user_id").Immutable().Comment("who is covered"),
		field.Int64("to_id").Immutable().Comment("who covers"),
		field.String("reason").Default("").MaxRuneLen(1000).Immutable(),
		field.Int64("started_by_id").Immutable(),
		field.Time("started_at").Immutable(),
		field.Time("ends_at").Immutable().Comment("the first moment without it"),
		field.Time("ended_at").Optional().Nillable().Comment("when what was passed on was brought back"),
	}
}

// Edges of the Cover.
func (Cover) Edges() []ent.Edge {
	names := func(name string, column string) ent.Edge {
		return edge.To(name, User.Type).Field(column).Unique().Required().Immutable().Annotations(entsql.OnDelete(entsql.NoAction))
	}
	return []ent.Edge{names("user", "user_id"), names("to", "to_id"), names("started_by", "started_by_id")}
}

// Indexes of the Cover.
func (Cover) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("user_id").Unique().StorageKey("cover_one_current").Annotations(entsql.IndexWhere("ended_at IS NULL")),
		index.Fields("to_id").Annotations(entsql.IndexWhere("ended_at IS NULL")),
	}
}
