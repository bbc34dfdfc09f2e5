package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// ImportRun is how far one user has come with importing one file.
type ImportRun struct{ ent.Schema }

// Mixin of the ImportRun.
func (ImportRun) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the ImportRun.
func (ImportRun) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("user_id").Immutable(),
		field.Enum("kind").Values("GROUPS", "USERS", "CONTACTS").Immutable(),
		field.String("fingerprint").MaxLen(64).Immutable().Comment("SHA-256 of the file, hexadecimal"),
		field.Int64("rows_done").Default(0),
		field.Int64("created").Default(0),
		field.Int64("existed").Default(0),
		field.Int64("refused").Default(0),
		field.Time("started_at").Immutable(),
		field.Time("finished_at").Optional().Nillable(),
	}
}

// Edges of the ImportRun.
func (ImportRun) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("user", User.Type).Field("user_id").Unique().Required().Immutable().Annotations(entsql.OnDelete(entsql.NoAction)),
	}
}

// Indexes of the ImportRun.
func (ImportRun) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("user_id", "fingerprint"),
		index.Fields("account_id", "user_id", "kind", "fingerprint").Unique().StorageKey("import_one_open").
			Annotations(entsql.IndexWhere("finished_at IS NULL")),
	}
}
