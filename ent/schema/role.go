package schema

import (
	"canopy/authz"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Role is a named set of (permission, scope) pairs. Each account has its rows of the built-in roles; what those hold
// is in authz, computed from their key, and their pairs column stays empty.
type Role struct{ ent.Schema }

// Mixin of the Role.
func (Role) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Role.
func (Role) Fields() []ent.Field {
	return []ent.Field{
		field.String("key").Optional().Nillable().Immutable().Comment("of a built-in role; empty for a custom one"),
		field.String("name").NotEmpty().MaxRuneLen(100),
		field.String("name_key").MaxRuneLen(400),
		field.String("description").Default("").MaxRuneLen(1000),
		field.String("policy_note").Default("").MaxRuneLen(4000),
		field.JSON("pairs", []authz.Pair{}).Optional().Comment("of a custom role"),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the Role.
func (Role) Edges() []ent.Edge {
	return []ent.Edge{
		// Without this inverse, named before the edge itself, Ent takes giving for mutual and stores it both ways.
		edge.From("given_by", Role.Type).Ref("may_give"),
		edge.To("may_give", Role.Type).StorageKey(edge.Table("role_may_give"), edge.Columns("role_id", "given_id")).
			Comment("the roles that holders of a custom role may give"),
	}
}

// Indexes of the Role.
func (Role) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "name_key").Unique().StorageKey("role_name"),
		index.Fields("account_id", "key").Unique().StorageKey("role_key"),
	}
}

// RoleGrant gives one user one role at one group, from a time, until a time, by somebody, for a reason.
type RoleGrant struct{ ent.Schema }

// Mixin of the RoleGrant.
func (RoleGrant) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the RoleGrant.
func (RoleGrant) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("user_id").Immutable(),
		field.Int64("role_id"),
		field.Int64("group_id").Optional().Nillable().Immutable().Comment("empty: follows the user's home group"),
		field.Time("valid_from").Immutable().Comment("first moment of the grant"),
		field.Time("valid_until").Optional().Nillable().Comment("first moment without it; empty: no end"),
		field.Int64("granted_by_id").Optional().Nillable().Immutable().Comment("empty: Canopy itself"),
		field.String("reason").Default("").MaxRuneLen(1000).Immutable(),
		field.Time("revoked_at").Optional().Nillable(),
		field.Int64("revoked_by_id").Optional().Nillable(),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the RoleGrant.
func (RoleGrant) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("user", User.Type).Field("user_id").Unique().Required().Immutable().Annotations(entsql.OnDelete(entsql.NoAction)),
		required("role", Role.Type, "role_id"),
		edge.To("group", Group.Type).Field("group_id").Unique().Immutable().Annotations(entsql.OnDelete(entsql.NoAction)),
		edge.To("granted_by", User.Type).Field("granted_by_id").Unique().Immutable().Annotations(entsql.OnDelete(entsql.NoAction)),
		references("revoked_by", User.Type, "revoked_by_id"),
	}
}

// Indexes of the RoleGrant.
func (RoleGrant) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("user_id"),
		index.Fields("role_id"),
		index.Fields("group_id"),
		index.Fields("account_id", "valid_until"),
	}
}
