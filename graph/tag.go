package graph

import (
	"cmp"
	"context"
	"slices"

	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversationtag"
	"canopy/ent/generated/tag"

	"entgo.io/ent/dialect/sql"
)

func (r *queryResolver) Tags(ctx context.Context) ([]*ent.Tag, error) {
	return tagRows(ctx, r.DB.Read, func(s *sql.Selector) {
		s.OrderBy(s.C(tag.FieldNameKey), s.C(tag.FieldID)).Limit(desk.MaxTags)
	})
}

// tagsOf are the tags of conversations, by name.
func (r *resolver) tagsOf(ctx context.Context, conversations []*ent.Conversation, _ asked) (map[int64][]*ent.Tag, error) {
	q := r.DB.Read.ConversationTag.Query()
	q.Modify(func(s *sql.Selector) {
		judgeLast(s)
		s.Where(in(s.C(conversationtag.FieldConversationID), numbers(conversations)))
	})
	having, err := q.All(ctx)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, h := range having {
		ids = append(ids, h.TagID)
	}
	tags, err := byID(ctx, r.DB.Read, tagRows, distinct(ids))
	found := make(map[int64][]*ent.Tag, len(conversations))
	for _, v := range conversations {
		found[v.ID] = []*ent.Tag{}
	}
	for _, h := range having {
		if t := tags[h.TagID]; t != nil {
			found[h.ConversationID] = append(found[h.ConversationID], t)
		}
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b *ent.Tag) int { return cmp.Or(cmp.Compare(a.NameKey, b.NameKey), cmp.Compare(a.ID, b.ID)) })
	}
	return found, err
}
