package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Tag is a word of the account by which conversations are told apart.
type Tag struct{ ent.Schema }

// Mixin of the Tag.
func (Tag) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Tag.
func (Tag) Fields() []ent.Field {
	return []ent.Field{
		field.String("name").NotEmpty().MaxRuneLen(50),
		field.String("name_key").MaxRuneLen(200),
		field.Enum("colour").Values("GREY", "RED", "ORANGE", "YELLOW", "GREEN", "TEAL", "BLUE", "PURPLE", "PINK").Default("GREY"),
		field.Time("created_at").Immutable(),
	}
}

// Indexes of the Tag.
func (Tag) Indexes() []ent.Index {
	return []ent.Index{index.Fields("account_id", "name_key").Unique().StorageKey("tag_name")}
}

// ConversationTag says that a conversation has a tag.
type ConversationTag struct{ ent.Schema }

// Mixin of the ConversationTag.
func (ConversationTag) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the ConversationTag.
func (ConversationTag) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("conversation_id"),
		field.Int64("tag_id"),
	}
}

// Edges of the ConversationTag.
func (ConversationTag) Edges() []ent.Edge {
	return []ent.Edge{
		owns("conversation", Conversation.Type, "conversation_id"),
		owns("tag", Tag.Type, "tag_id"),
	}
}

// Indexes of the ConversationTag.
func (ConversationTag) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("conversation_id", "tag_id").Unique().StorageKey("conversation_tag"),
		index.Fields("tag_id"),
	}
}
