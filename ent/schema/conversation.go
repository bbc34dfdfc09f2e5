package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Conversation is one service case with one contact.
type Conversation struct{ ent.Schema }

// Mixin of the Conversation.
func (Conversation) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Conversation.
func (Conversation) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("contact_id"),
		field.Int64("number").Immutable().Comment("counts up within the account"),
		field.String("subject").Default("").MaxRuneLen(200),
		field.Int64("agent_id").Optional().Nillable().Comment("who serves it, or served it last; empty while it waits"),
		field.Time("opened_at").Immutable(),
		field.Int64("opened_by_id").Optional().Nillable().Comment("empty: the contact, by writing"),
		field.Time("closed_at").Optional().Nillable(),
		field.Int64("closed_by_id").Optional().Nillable(),
		field.Enum("close_reason").Values("RESOLVED", "NO_REPLY", "SPAM", "DUPLICATE", "OTHER", "SILENT", "TRANSFERRED", "HANDED_OVER").
			Optional().Nillable().Comment("empty while it is open, and when whoever closed it gave none"),
		field.String("close_note").Default("").MaxRuneLen(200),
		field.Enum("priority").Values("LOW", "NORMAL", "HIGH", "URGENT").Default("NORMAL"),
		field.Time("snoozed_until").Optional().Nillable().Comment("of an open conversation that an agent serves: put aside until then, judged when asked"),
	}
}

// Edges of the Conversation.
func (Conversation) Edges() []ent.Edge {
	return []ent.Edge{
		owns("contact", Contact.Type, "contact_id"),
		references("agent", User.Type, "agent_id"),
		references("opened_by", User.Type, "opened_by_id"),
		references("closed_by", User.Type, "closed_by_id"),
	}
}

// Indexes of the Conversation.
func (Conversation) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("contact_id").Unique().StorageKey("conversation_one_open").Annotations(entsql.IndexWhere("closed_at IS NULL")),
		index.Fields("contact_id", "opened_at"),
		index.Fields("account_id", "number").Unique().StorageKey("conversation_number"),
	}
}

// Message is one thing said in a conversation.
type Message struct{ ent.Schema }

// Mixin of the Message.
func (Message) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Message.
func (Message) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("conversation_id"),
		field.Enum("direction").Values("INBOUND", "OUTBOUND").Immutable(),
		field.Int64("author_id").Optional().Nillable().Comment("the user who wrote it; empty for INBOUND"),
		field.String("text").MaxRuneLen(4096),
		field.String("external_id").Optional().Nillable().Immutable().MaxRuneLen(200).Comment("the integration's own id, by which a message arrives once on its channel"),
		field.String("channel").Optional().Nillable().Immutable().MaxLen(40).Comment("on which it arrived; empty for OUTBOUND"),
		field.Time("sent_at").Immutable(),
	}
}

// Edges of the Message.
func (Message) Edges() []ent.Edge {
	return []ent.Edge{
		owns("conversation", Conversation.Type, "conversation_id"),
		references("author", User.Type, "author_id"),
	}
}

// Indexes of the Message.
func (Message) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("conversation_id", "sent_at"),
		index.Fields("account_id", "channel", "external_id").Unique().StorageKey("message_external_id"),
	}
}

// Note is what people who serve say to each other about a conversation. The contact never sees it.
type Note struct{ ent.Schema }

// Mixin of the Note.
func (Note) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the Note. It is never changed, only deleted.
func (Note) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("conversation_id"),
		field.Int64("author_id").Comment("the user who wrote it"),
		field.String("text").MaxRuneLen(4096),
		field.Time("written_at").Immutable(),
	}
}

// Edges of the Note.
func (Note) Edges() []ent.Edge {
	return []ent.Edge{
		owns("conversation", Conversation.Type, "conversation_id"),
		required("author", User.Type, "author_id"),
	}
}

// Indexes of the Note.
func (Note) Indexes() []ent.Index {
	return []ent.Index{index.Fields("conversation_id", "written_at")}
}
