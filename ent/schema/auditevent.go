package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// AuditEvent is one recorded change. It is written once and never changed.
type AuditEvent struct{ ent.Schema }

// Mixin of the AuditEvent.
func (AuditEvent) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the AuditEvent.
func (AuditEvent) Fields() []ent.Field {
	return []ent.Field{
		field.Time("at").Immutable(),
		field.Int64("user_id").Optional().Nillable().Immutable().Comment("who did it; empty: the platform operator or Canopy itself"),
		field.String("action").MaxLen(60).Immutable().Comment("the mutation, in words of the domain: GROUP_MOVED"),
		field.String("target_kind").MaxLen(1).Immutable().Comment("the relay.Kind of the target"),
		field.Int64("target_id").Immutable(),
		field.JSON("before", json.RawMessage{}).Optional().Immutable(),
		field.JSON("after", json.RawMessage{}).Optional().Immutable(),
		field.String("reason").Default("").MaxRuneLen(1000).Immutable(),
		field.String("request_id").Default("").MaxLen(64).Immutable(),
	}
}

// Edges of the AuditEvent.
func (AuditEvent) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("user", User.Type).Field("user_id").Unique().Immutable().Annotations(entsql.OnDelete(entsql.NoAction)),
	}
}

// Indexes of the AuditEvent.
func (AuditEvent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "at"),
		index.Fields("account_id", "target_kind", "target_id"),
		index.Fields("account_id", "user_id"),
	}
}
