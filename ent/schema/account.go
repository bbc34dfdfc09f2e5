package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Account is one customer company, the tenant.
type Account struct{ ent.Schema }

// Fields of the Account.
func (Account) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.String("name").NotEmpty().MaxRuneLen(100),
		field.String("slug").Unique().Immutable().MaxLen(40).
			Comment("names the account at login, where an e-mail address alone is not enough"),
		field.Enum("plan").Values("STARTER", "PRO"),
		field.Enum("group_creation").Values("SELF_SERVICE", "ON_REQUEST").Default("SELF_SERVICE"),
		field.Bool("custom_roles_enabled").Default(true),
		field.Bool("reason_required").Default(false),
		field.Int64("primary_owner_id").Optional().Nillable().
			Comment("empty only inside the transaction that makes the account"),
		field.Int64("next_conversation_number").Default(1),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the Account.
func (Account) Edges() []ent.Edge {
	return []ent.Edge{references("primary_owner", User.Type, "primary_owner_id")}
}
