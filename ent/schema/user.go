package schema

import (
	"canopy/internal/hours"

	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// User is somebody with a login. Users are never deleted from the table: a deleted one keeps its number under a
// pseudonym, for the audit trail.
type User struct{ ent.Schema }

// Mixin of the User.
func (User) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the User.
func (User) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("home_group_id"),
		field.String("name").NotEmpty().MaxRuneLen(100),
		field.String("name_key").MaxRuneLen(400),
		field.String("email").MaxRuneLen(254),
		field.String("email_key").MaxRuneLen(400).Comment("the address folded for comparing without case"),
		field.String("password_hash").Optional().Nillable().Sensitive().Comment("argon2id; empty until the user sets a password"),
		field.String("setup_token_hash").Optional().Nillable().Sensitive().
			Comment("hash of the one-time token by which an invited or reset user sets a password"),
		field.Time("setup_expires_at").Optional().Nillable(),
		field.Enum("status").Values("INVITED", "ACTIVE", "DEACTIVATED", "DELETED").Default("INVITED"),
		field.Enum("availability").Values("AVAILABLE", "AWAY").Default("AWAY"),
		field.Int("capacity").Optional().Nillable().Comment("open conversations; empty: as the group says; -1 is unlimited"),
		field.JSON("working_hours", &hours.Week{}).Optional().Comment("empty: always"),
		field.Int64("turn").Default(0).Comment("grows whenever they get a contact or an offer: who has the least has waited longest"),
		field.Time("access_paused_at").Optional().Nillable(),
		field.Time("deactivated_at").Optional().Nillable(),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the User.
func (User) Edges() []ent.Edge {
	return []ent.Edge{required("home_group", Group.Type, "home_group_id")}
}

// Indexes of the User.
func (User) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("account_id", "email_key").Unique().StorageKey("user_email"),
		index.Fields("email_key").StorageKey("user_login"),
		index.Fields("home_group_id", "name_key"),
		index.Fields("setup_token_hash").Unique(),
	}
}
