package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Session is one login of a user. The token itself is never stored.
type Session struct{ ent.Schema }

// Mixin of the Session.
func (Session) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Session.
func (Session) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("user_id"),
		field.String("token_hash").Unique().Immutable().Sensitive().Comment("SHA-256 of the token, hexadecimal"),
		field.Enum("kind").Values("COOKIE", "TOKEN").Immutable(),
		field.Time("created_at").Immutable(),
		field.Time("expires_at"),
		field.Int64("writes").Default(0).Comment("transactions that it committed, counted where there is a replica"),
	}
}

// Edges of the Session.
func (Session) Edges() []ent.Edge {
	return []ent.Edge{owns("user", User.Type, "user_id")}
}

// Indexes of the Session.
func (Session) Indexes() []ent.Index { return []ent.Index{index.Fields("user_id")} }
