package desk

import (
	"context"
	"fmt"
	"slices"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/conversationtag"
	"canopy/ent/generated/tag"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"

	"entgo.io/ent/dialect"
)

// How many tags there may be.
const (
	MaxTags             = 500 // in an account
	MaxConversationTags = 20
)

// CreateTag is a new word for the account's conversations.
type CreateTag struct {
	Name   string
	Colour tag.Colour
}

// UpdateTag is what to change of a tag; what is nil stays.
type UpdateTag struct {
	TagID  int64
	Name   *string
	Colour *tag.Colour
}

// TagConversation names the tags that a conversation shall have, and those that it shall not have.
type TagConversation struct {
	ConversationID int64
	Add, Remove    []int64
}

// CreateTag adds a tag to the account's list.
func (s *Service) CreateTag(ctx context.Context, in CreateTag) (*ent.Tag, error) {
	var created *ent.Tag
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		if err := j.mayManageTags(); err != nil {
			return err
		}
		name, err := checkTagName("input.name", in.Name)
		if err != nil {
			return err
		}
		// Others who create one at the same moment wait, so that the limit holds.
		if err := tree.LockExclusive(ctx, j.tx, j.viewer.AccountID); err != nil {
			return err
		}
		n, err := j.tx.Tag.Query().Where(tag.AccountID(j.viewer.AccountID)).Count(ctx)
		if err != nil {
			return err
		}
		if n >= MaxTags {
			return refusal.Conflict(refusal.TagLimit, "An account has at most %d tags. Delete one that is not used any more.", MaxTags)
		}
		created, err = j.tx.Tag.Create().SetAccountID(j.viewer.AccountID).SetName(name).SetNameKey(nameKey(name)).
			SetColour(in.Colour).SetCreatedAt(j.now).Save(ctx)
		if err != nil {
			return tagTaken(err)
		}
		return j.record(ctx, "TAG_CREATED", relay.KindTag, created.ID, nil, audit.Fields{"name": name, "colour": in.Colour}, "")
	})
	return created, err
}

// UpdateTag changes name or colour of a tag, on every conversation that has it. When nothing changes nothing is recorded.
func (s *Service) UpdateTag(ctx context.Context, in UpdateTag) (*ent.Tag, error) {
	var updated *ent.Tag
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		t, err := j.tag(ctx, in.TagID)
		if err != nil {
			return err
		}
		if err := j.mayManageTags(); err != nil {
			return err
		}
		before, after, change := audit.Fields{}, audit.Fields{}, t.Update()
		if in.Name != nil {
			name, err := checkTagName("input.name", *in.Name)
			if err != nil {
				return err
			}
			if name != t.Name {
				change.SetName(name).SetNameKey(nameKey(name))
				before["name"], after["name"] = t.Name, name
			}
		}
		if in.Colour != nil && *in.Colour != t.Colour {
			change.SetColour(*in.Colour)
			before["colour"], after["colour"] = t.Colour, *in.Colour
		}
		updated = t
		if len(after) == 0 {
			return nil
		}
		if updated, err = change.Save(ctx); err != nil {
			return tagTaken(err)
		}
		if err := j.publishTags(ctx); err != nil {
			return err
		}
		return j.record(ctx, "TAG_UPDATED", relay.KindTag, t.ID, before, after, "")
	})
	return updated, err
}

// DeleteTag takes a tag off the account's list and off every conversation that has it.
func (s *Service) DeleteTag(ctx context.Context, tagID int64) error {
	return s.write(ctx, func(ctx context.Context, j *job) error {
		t, err := j.tag(ctx, tagID)
		if err != nil {
			return err
		}
		if err := j.mayManageTags(); err != nil {
			return err
		}
		n, err := j.tx.Tag.Delete().Where(tag.ID(t.ID)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("desk: deleting tag %d: %w", t.ID, err)
		}
		if n != 1 {
			return refusal.NotFound("tag")
		}
		if err := j.publishTags(ctx); err != nil {
			return err
		}
		return j.record(ctx, "TAG_DELETED", relay.KindTag, t.ID, audit.Fields{"name": t.Name, "colour": t.Colour}, nil, "")
	})
}

func (j *job) mayManageTags() error {
	if !j.viewer.CanAccount(authz.InboxSettingsEdit) {
		return refusal.Forbidden(authz.InboxSettingsEdit, "on the account")
	}
	return nil
}

func checkTagName(field, s string) (string, error) {
	name := fold.Name(s)
	if fold.Key(name) == "" || length(name) > maxTagName || !plain(name) {
		return "", refusal.BadInput(field, "The name of a tag has 1 to %d characters.", maxTagName)
	}
	return name, nil
}

func tagTaken(err error) error {
	if store.UniqueViolation(err, "tag_name") {
		return refusal.Conflict(refusal.NameTaken, "There is a tag of that name already; upper and lower case are the same.").At("input.name")
	}
	return fmt.Errorf("desk: storing a tag: %w", err)
}

func (j *job) tag(ctx context.Context, id int64) (*ent.Tag, error) {
	t, err := j.tx.Tag.Query().Where(tag.ID(id)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, refusal.NotFound("tag")
	}
	return t, err
}

// holdTags returns those of the tags that are there and that the viewer sees, each once, and keeps them from being
// deleted.
func (j *job) holdTags(ctx context.Context, ids []int64) ([]int64, error) {
	q := j.tx.Tag.Query().Where(tag.IDIn(ids...)).Order(tag.ByID())
	if j.tx.Dialect() == dialect.Postgres {
		q.ForShare()
	}
	return q.IDs(ctx)
}

// tagsOf lists the tags of a conversation in the order of their numbers.
func (j *job) tagsOf(ctx context.Context, conversationID int64) (ids []int64, err error) {
	err = j.tx.ConversationTag.Query().Where(conversationtag.ConversationID(conversationID)).
		Order(conversationtag.ByTagID()).Select(conversationtag.FieldTagID).Scan(ctx, &ids)
	return ids, err
}

func (j *job) attach(ctx context.Context, c *ent.Conversation, tags []int64) error {
	creates := make([]*ent.ConversationTagCreate, len(tags))
	for i, id := range tags {
		creates[i] = j.tx.ConversationTag.Create().SetAccountID(c.AccountID).SetConversationID(c.ID).SetTagID(id)
	}
	if err := j.tx.ConversationTag.CreateBulk(creates...).Exec(ctx); err != nil {
		return fmt.Errorf("desk: tagging conversation %d: %w", c.ID, err)
	}
	return nil
}

// TagConversation adds and takes away tags, also of a closed conversation. What it has already, or has not, stays so;
// when nothing changes nothing is recorded.
func (s *Service) TagConversation(ctx context.Context, in TagConversation) (*ent.Conversation, error) {
	var tagged *ent.Conversation
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, c, err := j.holdConversation(ctx, in.ConversationID)
		if err != nil {
			return err
		}
		if err := j.seeTags(ctx, slices.Concat(in.Add, in.Remove)); err != nil {
			return err
		}
		if err := j.mayWork(h); err != nil {
			return err
		}
		if slices.ContainsFunc(in.Add, func(id int64) bool { return slices.Contains(in.Remove, id) }) {
			return refusal.BadInput("input.removeTagIds", "The same tag is to be added and taken away. Name it once.")
		}
		tagged = c
		return j.retag(ctx, h, c, in)
	})
	return tagged, err
}

// seeTags holds the tags, all of which have to be there for the viewer.
func (j *job) seeTags(ctx context.Context, ids []int64) error {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) > MaxTags {
		return refusal.NotFound("tag") // there are not so many
	}
	seen, err := j.holdTags(ctx, ids)
	if err == nil && len(seen) != len(ids) {
		return refusal.NotFound("tag")
	}
	return err
}

func (j *job) retag(ctx context.Context, h *held, c *ent.Conversation, in TagConversation) error {
	was, err := j.tagsOf(ctx, c.ID)
	if err != nil {
		return err
	}
	is := slices.DeleteFunc(slices.Clone(was), func(id int64) bool { return slices.Contains(in.Remove, id) })
	var added []int64
	for _, id := range in.Add {
		if !slices.Contains(is, id) {
			is, added = append(is, id), append(added, id)
		}
	}
	slices.Sort(is)
	switch {
	case slices.Equal(was, is):
		return nil
	case len(is) > MaxConversationTags:
		return refusal.Conflict(refusal.TagLimit, "A conversation has at most %d tags. Take one away first.", MaxConversationTags)
	}
	_, err = j.tx.ConversationTag.Delete().
		Where(conversationtag.ConversationID(c.ID), conversationtag.TagIDIn(in.Remove...)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("desk: taking tags off conversation %d: %w", c.ID, err)
	}
	if err := j.attach(ctx, c, added); err != nil {
		return err
	}
	if err := j.publishWork(ctx, h, c); err != nil {
		return err
	}
	return j.record(ctx, "CONVERSATION_TAGGED", relay.KindConversation, c.ID,
		audit.Fields{"tags": refs(relay.KindTag, was)}, audit.Fields{"tags": refs(relay.KindTag, is)}, "")
}

func refs(kind relay.Kind, ids []int64) []any {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = ref(kind, id)
	}
	return list
}
