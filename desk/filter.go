package desk

import (
	"context"
	"time"

	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/tag"
	"canopy/refusal"

	"entgo.io/ent/dialect/sql"
)

// Filter narrows a box to contacts whose last conversation, which is the open one if there is one, is as wanted.
//
// The box is read in its order and what does not fit is passed over, at some 5 µs a contact: a page of what hardly
// any contact of a large box has takes as long as reading the box.
type Filter struct {
	TagID    *int64 // has this tag; 0 names nothing
	Priority *conversation.Priority
	Snoozed  *bool // is put aside now, or is not
}

// on is the condition on the contact whose number the column holds, nil for none.
func (f Filter) on(contact string, now time.Time) func(*sql.Builder) {
	if f == (Filter{}) {
		return nil
	}
	return func(b *sql.Builder) {
		b.WriteString("EXISTS (SELECT 1 FROM conversations AS v WHERE v.id = (SELECT last.id FROM conversations AS last" +
			" WHERE last.contact_id = " + contact + " ORDER BY last.opened_at DESC, last.id DESC LIMIT 1)")
		if f.TagID != nil {
			write(b, " AND EXISTS (SELECT 1 FROM conversation_tags AS t WHERE t.conversation_id = v.id AND t.tag_id = ?)", *f.TagID)
		}
		if f.Priority != nil {
			write(b, " AND v.priority = ?", *f.Priority)
		}
		if f.Snoozed != nil && *f.Snoozed {
			write(b, " AND v.snoozed_until > ?", now)
		} else if f.Snoozed != nil {
			write(b, " AND (v.snoozed_until IS NULL OR v.snoozed_until <= ?)", now)
		}
		b.WriteByte(')')
	}
}

// Fits says whether a contact that the viewer sees is one by the filter now.
func (s *Service) Fits(ctx context.Context, f Filter, contactID int64) (bool, error) {
	q := s.DB.Read.Contact.Query().Where(contact.ID(contactID))
	if on := f.on(contact.Table+".id", s.now()); on != nil {
		q.Where(func(s *sql.Selector) { s.Where(sql.P(on)) })
	}
	return q.Exist(ctx)
}

// CheckFilter refuses a filter whose tag is not there for the viewer.
func (s *Service) CheckFilter(ctx context.Context, f Filter) error {
	if f.TagID == nil {
		return nil
	}
	_, err := s.DB.Read.Tag.Query().Where(tag.ID(*f.TagID)).OnlyID(ctx)
	if ent.IsNotFound(err) {
		return refusal.NotFound("tag").At("tagId")
	}
	return err
}
