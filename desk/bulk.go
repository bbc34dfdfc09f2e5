package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/tree"
)

// Changes of many things at once. What is asked of all of them, the receiver or the reason, is judged first and refuses
// the whole call. Then each item is judged by itself, as the single change would judge it, and all of them before the
// first one is changed; those that are not refused are changed in one transaction, each with its own audit event.

// MaxBulk is how many contacts or conversations are changed by one call.
const MaxBulk = 200

// AssignContacts is AssignContact for several contacts and one receiver.
type AssignContacts struct {
	ContactIDs []int64
	AgentID    *int64
	GroupID    *int64
	Reason     string
}

// TransferContacts is TransferContact for several contacts and one receiver.
type TransferContacts struct {
	ContactIDs []int64
	AgentID    *int64
	GroupID    *int64
	Reason     string
}

// CloseConversations is CloseConversation for several conversations and one reason.
type CloseConversations struct {
	ConversationIDs []int64
	Reason          *conversation.CloseReason
	Note            string
}

// PassedContact is what became of one contact of several that were assigned or transferred.
type PassedContact struct {
	Assigned
	Refused *refusal.Refusal // why it was left as it was; the rest is empty then
}

// ClosedConversation is what became of one conversation of several that were to be closed.
type ClosedConversation struct {
	Conversation *ent.Conversation
	Refused      *refusal.Refusal // why it was left as it was; there is no Conversation then
}

// AssignContacts decides who serves contacts, each as AssignContact would. The answers are in the order of the ids.
func (s *Service) AssignContacts(ctx context.Context, in AssignContacts) ([]PassedContact, error) {
	return s.passAll(ctx, in, assigning())
}

// TransferContacts passes contacts on, each as TransferContact would. The answers are in the order of the ids.
func (s *Service) TransferContacts(ctx context.Context, in TransferContacts) ([]PassedContact, error) {
	return s.passAll(ctx, AssignContacts(in), transferring())
}

func (s *Service) passAll(ctx context.Context, in AssignContacts, p passing) ([]PassedContact, error) {
	var out []PassedContact
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		to, err := j.receiver(ctx, in.AgentID, in.GroupID)
		if err != nil {
			return err
		}
		if err := checkMany("input.contactIds", in.ContactIDs); err != nil {
			return err
		}
		if err := j.checkPassInput(ctx, AssignContact{AgentID: in.AgentID, GroupID: in.GroupID, Reason: in.Reason}); err != nil {
			return err
		}
		line, contacts, err := j.holdToPass(ctx, in, to)
		if err != nil {
			return err
		}
		out = make([]PassedContact, len(in.ContactIDs))
		var passed []*held
		for i, id := range in.ContactIDs {
			if out[i].Refused, err = refusedBy(j.checkOneOf(contacts[id], to, p.permission)); err != nil {
				return err
			}
			if out[i].Refused == nil {
				passed = append(passed, contacts[id])
			}
		}
		if err := j.passEach(ctx, passed, to, line, p, in.Reason); err != nil {
			return err
		}
		return j.outcomes(ctx, in.ContactIDs, out)
	})
	return out, err
}

// holdToPass holds the contacts, and of a group to which they go the line, nil where they wait.
func (j *job) holdToPass(ctx context.Context, in AssignContacts, to receiver) (line *line, contacts map[int64]*held, err error) {
	if to.agent == nil {
		if line, err = j.lineFor(ctx, to.group); err != nil {
			return nil, nil, err
		}
	}
	if contacts, err = j.holdAll(ctx, in.ContactIDs, to.groups()...); err != nil {
		return nil, nil, err
	}
	if in.GroupID != nil { // somebody may have moved it before it was locked
		err = j.groupReceives(ctx, *in.GroupID)
	}
	return line, contacts, err
}

// checkMany refuses a list that is empty, too long or names something twice. A 0 names nothing and is answered like
// what is not there.
func checkMany(field string, ids []int64) error {
	if len(ids) < 1 || len(ids) > MaxBulk {
		return refusal.BadInput(field, "Name 1 to %d at once; this names %d.", MaxBulk, len(ids))
	}
	seen := make(map[int64]bool, len(ids))
	for _, id := range ids {
		if id != 0 && seen[id] {
			return refusal.BadInput(field, "One of them is named twice. Name each once.")
		}
		seen[id] = true
	}
	return nil
}

// refusedBy parts refusals, which are answers about one item, from errors, which end everything.
func refusedBy(err error) (*refusal.Refusal, error) {
	var r *refusal.Refusal
	if errors.As(err, &r) {
		return r, nil
	}
	return nil, err
}

// checkOneOf judges one contact of several; nil is one that the viewer does not see.
func (j *job) checkOneOf(h *held, to receiver, p authz.Permission) error {
	if h == nil {
		return refusal.NotFound("contact")
	}
	if err := j.may(p, h); err != nil {
		return err
	}
	return to.takes(h)
}

// passEach gives the contacts to the receiver, in the order of their ids. The line is that of a group that gives them out.
func (j *job) passEach(ctx context.Context, contacts []*held, to receiver, line *line, p passing, reason string) (err error) {
	slices.SortFunc(contacts, func(a, b *held) int { return cmp.Compare(a.ID, b.ID) })
	begins, groups := false, []int64{to.group}
	for _, h := range contacts {
		begins = begins || h.state() == tree.Open && h.agent() != 0
		groups = append(groups, h.GroupID)
	}
	if err := j.readyForMany(ctx, begins, groups); err != nil {
		return err
	}
	for _, h := range contacts {
		if to.taker, err = j.taker(ctx, line, h.agent()); err != nil {
			return err
		}
		if _, err := j.passAs(ctx, h, to, p, reason); err != nil {
			return err
		}
	}
	return nil
}

// readyForMany is called when all contacts are locked that a transaction changes, before the first of them is: it takes what
// is locked after contacts, the conversation number, when one begins, and the counters of all groups where they are and
// where they go.
func (j *job) readyForMany(ctx context.Context, begins bool, groupIDs []int64) error {
	if begins {
		if err := j.reserveNumber(ctx); err != nil {
			return err
		}
	}
	return tree.LockCounters(ctx, j.tx, groupIDs...)
}

// outcomes is outcome for those that were not refused, by two statements.
func (j *job) outcomes(ctx context.Context, ids []int64, out []PassedContact) error {
	var done []int64
	for i, id := range ids {
		if out[i].Refused == nil {
			done = append(done, id)
		}
	}
	contacts, err := j.tx.Contact.Query().Where(contact.IDIn(done...)).All(ctx)
	if err != nil {
		return fmt.Errorf("desk: loading what was passed on: %w", err)
	}
	assignments, err := j.tx.ContactAssignment.Query().
		Where(contactassignment.ContactIDIn(done...), contactassignment.EndedAtIsNil()).All(ctx)
	if err != nil {
		return fmt.Errorf("desk: loading the assignments of what was passed on: %w", err)
	}
	for i, id := range ids {
		if out[i].Refused != nil {
			continue
		}
		for _, c := range contacts {
			if c.ID == id {
				out[i].Contact = c
			}
		}
		for _, a := range assignments {
			if a.ContactID == id {
				out[i].Assignment = a
			}
		}
	}
	return nil
}

// CloseConversations closes conversations, each as CloseConversation would. The answers are in the order of the ids.
func (s *Service) CloseConversations(ctx context.Context, in CloseConversations) ([]ClosedConversation, error) {
	var out []ClosedConversation
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		if err := checkMany("input.conversationIds", in.ConversationIDs); err != nil {
			return err
		}
		note, err := CloseConversation{Reason: in.Reason, Note: in.Note}.check()
		if err != nil {
			return err
		}
		contacts, conversations, err := j.holdConversations(ctx, in.ConversationIDs)
		if err != nil {
			return err
		}
		out = make([]ClosedConversation, len(in.ConversationIDs))
		var closing []int
		for i, id := range in.ConversationIDs {
			c := conversations[id]
			if c == nil {
				out[i].Refused = refusal.NotFound("conversation")
				continue
			}
			if out[i].Refused, err = refusedBy(j.may(authz.ConversationsClose, contacts[c.ContactID])); err != nil {
				return err
			}
			switch {
			case out[i].Refused != nil:
			case c.ClosedAt != nil:
				out[i].Refused = errNotOpen()
			default:
				closing = append(closing, i)
			}
		}
		groups := make([]int64, len(closing))
		for n, i := range closing {
			groups[n] = contacts[conversations[in.ConversationIDs[i]].ContactID].GroupID
		}
		if err := j.readyForMany(ctx, false, groups); err != nil {
			return err
		}
		for _, i := range closing {
			c := conversations[in.ConversationIDs[i]]
			if out[i].Conversation, err = j.close(ctx, contacts[c.ContactID], c, in.Reason, note); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// holdConversations is holdConversation for several. What the viewer does not see is in neither of the answers.
func (j *job) holdConversations(ctx context.Context, ids []int64) (map[int64]*held, map[int64]*ent.Conversation, error) {
	seen, err := j.conversations(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	var of []int64
	for _, c := range seen {
		of = append(of, c.ContactID)
	}
	contacts, err := j.holdAll(ctx, of)
	if err != nil {
		return nil, nil, err
	}
	now, err := j.conversations(ctx, ids)
	maps.DeleteFunc(now, func(_ int64, c *ent.Conversation) bool { return contacts[c.ContactID] == nil })
	return contacts, now, err
}

func (j *job) conversations(ctx context.Context, ids []int64) (map[int64]*ent.Conversation, error) {
	list, err := j.tx.Conversation.Query().Where(conversation.IDIn(ids...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: loading conversations: %w", err)
	}
	found := make(map[int64]*ent.Conversation, len(list))
	for _, c := range list {
		found[c.ID] = c
	}
	return found, nil
}

// holdAll is hold for several contacts. What the viewer does not see is left out.
func (j *job) holdAll(ctx context.Context, ids []int64, groupIDs ...int64) (map[int64]*held, error) {
	visible := j.tx.Contact.Query().Where(contact.IDIn(ids...), contact.AccountID(j.viewer.AccountID))
	seen, err := visible.Clone().IDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: finding contacts: %w", err)
	}
	// Trusted, because one may have gone out of the viewer's sight since.
	if _, err := j.lockAll(authz.Trusted(ctx), groupIDs, contact.IDIn(seen...)); err != nil {
		return nil, err
	}
	j.now = j.desk.now()
	contacts, err := visible.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: loading contacts: %w", err)
	}
	places, err := j.places(ctx, contacts)
	all := make(map[int64]*held, len(contacts))
	for _, c := range contacts {
		all[c.ID] = &held{Contact: c, place: places[c.GroupID]}
	}
	return all, err
}

// places is where the groups of the contacts stand, whether the viewer sees them or not.
func (j *job) places(ctx context.Context, contacts []*ent.Contact) (map[int64]authz.Place, error) {
	var ids []int64
	for _, c := range contacts {
		ids = append(ids, c.GroupID)
	}
	groups, err := j.tx.Group.Query().Where(group.IDIn(ids...)).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("desk: loading groups: %w", err)
	}
	places := make(map[int64]authz.Place, len(groups))
	for _, g := range groups {
		places[g.ID] = rule.PlaceOf(g)
	}
	return places, nil
}
