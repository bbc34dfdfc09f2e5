package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// ReadMark is how far one user has read an open conversation: what follows it in the order of messages is new to them.
// It goes when the conversation is closed.
type ReadMark struct{ ent.Schema }

// Mixin of the ReadMark.
func (ReadMark) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the ReadMark.
func (ReadMark) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("user_id").Immutable(),
		field.Int64("conversation_id").Immutable(),
		field.Time("sent_at").Comment("of the last message that was read; when the conversation began if none was"),
		field.Int64("message_id").Comment("the last message that was read, 0 for none"),
	}
}

// Edges of the ReadMark.
func (ReadMark) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("user", User.Type).Field("user_id").Unique().Required().Immutable().Annotations(entsql.OnDelete(entsql.NoAction)),
		edge.To("conversation", Conversation.Type).Field("conversation_id").Unique().Required().Immutable().
			Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes of the ReadMark.
func (ReadMark) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("conversation_id", "user_id").Unique().StorageKey("read_mark"),
		index.Fields("user_id"),
	}
}
