// Package schema models Canopy's data: one file per entity. It says what is stored and which database constraints
// hold; package ent/rule says who sees the rows, package tree keeps the columns that it owns (paths, walls, boxes).
//
// Every entity but Account belongs to one account. Foreign keys are declared here by their own column; package store
// widens each of them to (account_id, column), so that no row can refer to a row of another account.
package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"entgo.io/ent/schema/mixin"
)

// Owned gives an entity its number and its account.
type Owned struct{ mixin.Schema }

// Fields of the mixin.
func (Owned) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.Int64("account_id").Immutable(),
	}
}

// Edges of the mixin.
func (Owned) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("account", Account.Type).Field("account_id").Unique().Required().Immutable().
			Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes of the mixin: the target of foreign keys from other entities of the account.
func (Owned) Indexes() []ent.Index {
	return []ent.Index{index.Fields("account_id", "id").Unique()}
}

// references declares an edge over an optional column, without cascade: a row that is referred to cannot be deleted.
func references(name string, entity any, column string) ent.Edge {
	return edge.To(name, entity).Field(column).Unique().Annotations(entsql.OnDelete(entsql.NoAction))
}

// required declares an edge over a column that is never empty, without cascade.
func required(name string, entity any, column string) ent.Edge {
	return edge.To(name, entity).Field(column).Unique().Required().Annotations(entsql.OnDelete(entsql.NoAction))
}

// owns declares that the entity dies with the row that the column names.
func owns(name string, entity any, column string) ent.Edge {
	return edge.To(name, entity).Field(column).Unique().Required().Annotations(entsql.OnDelete(entsql.Cascade))
}
