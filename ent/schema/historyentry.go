package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// HistoryEntry is one thing that happened to a contact: who serves it or where it waits came to be otherwise, or was
// about to. Entries are never changed, and die with the contact.
type HistoryEntry struct{ ent.Schema }

// Mixin of the HistoryEntry.
func (HistoryEntry) Mixin() []ent.Mixin { return []ent.Mixin{Owned{}} }

// Fields of the HistoryEntry. Groups are named by their number alone, because an entry outlives a group, and so is the
// agent whom a contact leaves: PostgreSQL would lock that user to check a reference, after the contact is locked.
func (HistoryEntry) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("contact_id").Immutable(),
		field.Int64("conversation_id").Optional().Nillable().Immutable().
			Comment("the one that is open afterwards, or was closed by it; empty when there is none"),
		field.Int64("previous_conversation_id").Optional().Nillable().Immutable().
			Comment("the one that a change of agent closed"),
		field.Enum("kind").Values("ARRIVED", "CLAIMED", "OPENED", "ASSIGNED", "TRANSFERRED", "DISTRIBUTED", "OFFERED", "OFFER_DECLINED",
			"OFFER_ENDED", "ESCALATED", "TAKEN_BACK", "QUEUED", "HANDED_OVER", "COVERED", "BROUGHT_BACK", "CLOSED").Immutable(),
		field.Time("at").Immutable(),
		field.Int64("done_by_id").Optional().Nillable().Immutable().Comment("empty: Canopy itself, or the contact"),
		field.Int64("from_agent_id").Optional().Nillable().Immutable(),
		field.Int64("to_agent_id").Optional().Nillable().Immutable(),
		field.Int64("from_group_id").Optional().Nillable().Immutable(),
		field.Int64("to_group_id").Optional().Nillable().Immutable(),
		field.Int64("assignment_id").Optional().Nillable().Immutable().Comment("the one that began by it"),
		field.Int64("cover_id").Optional().Nillable().Immutable().Comment("of COVERED and BROUGHT_BACK"),
		field.Enum("method").Values(methods...).Optional().Nillable().Immutable().Comment("of the assignment that began by it"),
		field.String("explanation").MaxRuneLen(1000).Immutable().Comment("in words that name nobody"),
		field.String("reason").Default("").MaxRuneLen(1000).Immutable().Comment("that was given"),
		field.JSON("considered", json.RawMessage{}).Optional().Immutable().Comment("who came into question, in order; see package desk"),
	}
}

// Edges of the HistoryEntry.
func (HistoryEntry) Edges() []ent.Edge {
	ends := func(name string, entity any, column string) ent.Edge {
		return edge.To(name, entity).Field(column).Unique().Immutable().Annotations(entsql.OnDelete(entsql.Cascade))
	}
	names := func(name string, entity any, column string) ent.Edge {
		return edge.To(name, entity).Field(column).Unique().Immutable().Annotations(entsql.OnDelete(entsql.NoAction))
	}
	return []ent.Edge{
		edge.To("contact", Contact.Type).Field("contact_id").Unique().Required().Immutable().Annotations(entsql.OnDelete(entsql.Cascade)),
		ends("conversation", Conversation.Type, "conversation_id"),
		ends("previous_conversation", Conversation.Type, "previous_conversation_id"),
		ends("assignment", ContactAssignment.Type, "assignment_id"),
		names("done_by", User.Type, "done_by_id"),
		names("to_agent", User.Type, "to_agent_id"),
		names("cover", Cover.Type, "cover_id"),
	}
}

// Indexes of the HistoryEntry.
func (HistoryEntry) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("contact_id"),
		index.Fields("conversation_id"),
		index.Fields("previous_conversation_id").Annotations(entsql.IndexWhere("previous_conversation_id IS NOT NULL")),
		index.Fields("assignment_id").Annotations(entsql.IndexWhere("assignment_id IS NOT NULL")),
		index.Fields("cover_id").Annotations(entsql.IndexWhere("cover_id IS NOT NULL")),
	}
}
