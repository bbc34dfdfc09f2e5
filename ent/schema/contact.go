package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Contact is a customer's person. It lives in one group and can never log in.
type Contact struct{ ent.Schema }

// Mixin of the Contact.
func (Contact) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Contact. Who serves it and when it waits follow from its assignments; package tree writes box and
// sort_key together with the scope rows.
func (Contact) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("group_id"),
		field.Int64("arrival_group_id"),
		field.Int64("assigned_user_id").Optional().Nillable().Comment("of the current assignment; empty while it waits"),
		field.String("name").NotEmpty().MaxRuneLen(100),
		field.String("name_key").MaxRuneLen(400),
		field.String("phone").Optional().Nillable().MaxLen(20).Comment("E.164"),
		field.String("email").Optional().Nillable().MaxRuneLen(254),
		field.String("channel").Optional().Nillable().MaxLen(40).Comment("where it writes from, with address"),
		field.String("address").Optional().Nillable().MaxRuneLen(254).Comment("its address on the channel"),
		field.Int("box").Default(0).Comment("state and whether it is assigned; see package tree"),
		field.Int64("sort_key").Comment("microseconds: since when it waits, or its last activity; see package tree"),
		field.Time("last_activity_at"),
		field.Time("waiting_since").Optional().Nillable(),
		field.Int64("offered_to_id").Optional().Nillable().Comment("the user who is asked whether they take it; users are never deleted"),
		field.Time("offer_ends_at").Optional().Nillable().Comment("the first moment without the offer"),
		field.Int64("passed_on_from_id").Optional().Nillable().Comment("the user from whom it came to wait here; a method does not give it back to them"),
		field.JSON("asked", []int64{}).Optional().Comment("users who were asked since it waits here, in order"),
		field.Int64("escalated_to_id").Optional().Nillable().
			Comment("the parent of its group, once it waits in that queue too; package tree keeps it right when groups move"),
		field.Time("created_at").Immutable(),
	}
}

// Edges of the Contact.
func (Contact) Edges() []ent.Edge {
	return []ent.Edge{
		required("group", Group.Type, "group_id"),
		required("arrival_group", Group.Type, "arrival_group_id"),
		references("assigned_user", User.Type, "assigned_user_id"),
	}
}

// Indexes of the Contact.
func (Contact) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("group_id", "box", "sort_key"),
		index.Fields("assigned_user_id", "box", "sort_key"),
		index.Fields("arrival_group_id"),
		index.Fields("offered_to_id", "box", "sort_key").Annotations(entsql.IndexWhere("offered_to_id IS NOT NULL")),
		index.Fields("escalated_to_id", "box", "sort_key").Annotations(entsql.IndexWhere("escalated_to_id IS NOT NULL")),
		index.Fields("account_id", "phone"),
		index.Fields("account_id", "channel", "address").Unique().StorageKey("contact_address").
			Annotations(entsql.IndexWhere("channel IS NOT NULL")),
	}
}
