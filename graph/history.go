package graph

import (
	"context"
	"fmt"
	"slices"

	"canopy/authz"
	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/historyentry"
	"canopy/graph/bind"
	"canopy/relay"

	entsql "entgo.io/ent/dialect/sql"
)

type historyEntryResolver struct{ *resolver }

func (r *conversationResolver) History(ctx context.Context, v *ent.Conversation, _ *int, _ *string) (*relay.Connection[*ent.HistoryEntry], error) {
	return take[*relay.Connection[*ent.HistoryEntry]](ctx, r.resolver, v)
}

func (r *contactResolver) History(ctx context.Context, c *ent.Contact, _ *int, _ *string) (*relay.Connection[*ent.HistoryEntry], error) {
	return take[*relay.Connection[*ent.HistoryEntry]](ctx, r.resolver, c)
}

func (r *contactAssignmentResolver) Origin(ctx context.Context, a *ent.ContactAssignment) (*ent.HistoryEntry, error) {
	return take[*ent.HistoryEntry](ctx, r.resolver, a)
}

func (r *historyEntryResolver) Sentence(ctx context.Context, e *ent.HistoryEntry) (string, error) {
	return take[string](ctx, r.resolver, e)
}

func (r *historyEntryResolver) DoneBy(ctx context.Context, e *ent.HistoryEntry) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, e)
}

func (r *historyEntryResolver) FromAgent(ctx context.Context, e *ent.HistoryEntry) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, e)
}

func (r *historyEntryResolver) FromGroup(ctx context.Context, e *ent.HistoryEntry) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, e)
}

func (r *historyEntryResolver) ToAgent(ctx context.Context, e *ent.HistoryEntry) (*bind.Agent, error) {
	return take[*bind.Agent](ctx, r.resolver, e)
}

func (r *historyEntryResolver) ToGroup(ctx context.Context, e *ent.HistoryEntry) (*ent.Group, error) {
	return take[*ent.Group](ctx, r.resolver, e)
}

func (r *historyEntryResolver) Method(_ context.Context, e *ent.HistoryEntry) (*contactassignment.Method, error) {
	return (*contactassignment.Method)(e.Method), nil
}

func (r *historyEntryResolver) Considered(ctx context.Context, e *ent.HistoryEntry) ([]*bind.Considered, error) {
	return take[[]*bind.Considered](ctx, r.resolver, e)
}

func (r *resolver) historyEntryLoaders() map[string]anyLoader {
	return map[string]anyLoader{
		"doneBy":     toOne(r, agentRows, func(e *ent.HistoryEntry) *int64 { return e.DoneByID }),
		"fromAgent":  toOne(r, agentRows, func(e *ent.HistoryEntry) *int64 { return e.FromAgentID }),
		"toAgent":    toOne(r, agentRows, func(e *ent.HistoryEntry) *int64 { return e.ToAgentID }),
		"fromGroup":  toOne(r, groupRows, func(e *ent.HistoryEntry) *int64 { return e.FromGroupID }),
		"toGroup":    toOne(r, groupRows, func(e *ent.HistoryEntry) *int64 { return e.ToGroupID }),
		"sentence":   loader[*ent.HistoryEntry, string]{numberOfNode[*ent.HistoryEntry], r.sentences},
		"considered": loader[*ent.HistoryEntry, []*bind.Considered]{numberOfNode[*ent.HistoryEntry], r.considered},
	}
}

// histories finds the entries of all the pages with one statement. An entry can be on two of them, so each page takes its
// part out of the whole, which is in order.
func (r *resolver) histories(ctx context.Context, conversations []*ent.Conversation, a asked) (map[int64]*relay.Connection[*ent.HistoryEntry], error) {
	p, err := a.page()
	if err != nil {
		return nil, err
	}
	during := nested[*ent.HistoryEntry]{list: historyOldestFirst(), relation: ofConversation}
	ps := parentsOf(ctx, numbers(conversations))
	rows, err := during.rows(ctx, r.DB.Read, ps, p)
	if err != nil {
		return nil, err
	}
	rows = slices.CompactFunc(rows, func(a, b *ent.HistoryEntry) bool { return a.ID == b.ID })
	return during.connect(ctx, r.DB.Read, ps, p, func(id int64) []*ent.HistoryEntry {
		var of []*ent.HistoryEntry
		for _, e := range rows {
			if is := []*int64{e.ConversationID, e.PreviousConversationID}; len(of) <= p.first && names(is, id) {
				of = append(of, e)
			}
		}
		return of
	})
}

func names(columns []*int64, id int64) bool {
	return slices.ContainsFunc(columns, func(c *int64) bool { return c != nil && *c == id })
}

// origins are the entries by which assignments began.
func (r *resolver) origins(ctx context.Context, assignments []*ent.ContactAssignment, _ asked) (map[int64]*ent.HistoryEntry, error) {
	found, err := historyRows(ctx, r.DB.Read, func(s *entsql.Selector) {
		judgeLast(s)
		s.Where(in(s.C(historyentry.FieldAssignmentID), numbers(assignments)))
	})
	origins := make(map[int64]*ent.HistoryEntry, len(found))
	for _, e := range found {
		origins[*e.AssignmentID] = e
	}
	return origins, err
}

// considered are those of the candidates whose cards the viewer sees.
func (r *resolver) considered(ctx context.Context, entries []*ent.HistoryEntry, _ asked) (map[int64][]*bind.Considered, error) {
	all, ids := make(map[int64][]desk.Candidate, len(entries)), []int64{}
	for _, e := range entries {
		list, err := desk.Candidates(e)
		if err != nil {
			return nil, fmt.Errorf("graph: reading whom history entry %d considered: %w", e.ID, err)
		}
		all[e.ID] = list
		for _, c := range list {
			ids = append(ids, c.UserID)
		}
	}
	cards, err := byID(ctx, r.DB.Read, agentRows, ids)
	shown := make(map[int64][]*bind.Considered, len(entries))
	for _, e := range entries {
		shown[e.ID] = []*bind.Considered{}
		for _, c := range all[e.ID] {
			if card := cards[c.UserID]; card != nil {
				shown[e.ID] = append(shown[e.ID], &bind.Considered{Agent: card, Outcome: bind.ConsideredOutcome(c.Outcome),
					Earlier: e.ToAgentID == nil || *e.ToAgentID != c.UserID})
			}
		}
	}
	return shown, err
}

// sentences say what happened in words that name nobody.
func (r *resolver) sentences(ctx context.Context, entries []*ent.HistoryEntry, _ asked) (map[int64]string, error) {
	var ids []int64
	for _, e := range entries {
		for _, id := range []*int64{e.DoneByID, e.FromAgentID, e.ToAgentID} {
			if id != nil {
				ids = append(ids, *id)
			}
		}
	}
	cards, err := byID(ctx, r.DB.Read, agentRows, ids)
	said := make(map[int64]string, len(entries))
	for _, e := range entries {
		said[e.ID] = telling{viewer: authz.FromContext(ctx).UserID, cards: cards}.sentence(e)
	}
	return said, err
}

// telling is to whom a history is told, and whose cards they see.
type telling struct {
	viewer int64
	cards  map[int64]*bind.Agent
}

// agent says "another agent" of whoever the viewer does not see, whether there is such a card or not.
func (t telling) agent(id *int64) string {
	switch {
	case id == nil:
		return "nobody"
	case *id == t.viewer:
		return "you"
	case t.cards[*id] != nil:
		return "an agent"
	}
	return "another agent"
}

func (t telling) doer(e *ent.HistoryEntry) string {
	switch {
	case e.DoneByID == nil:
		return "Canopy"
	case *e.DoneByID == t.viewer:
		return "You"
	case t.cards[*e.DoneByID] != nil:
		return "An agent"
	}
	return "Somebody else"
}

// receiver is who gets the contact, or where it waits.
func (t telling) receiver(e *ent.HistoryEntry) string {
	if e.ToAgentID == nil {
		return "the queue of a group"
	}
	return t.agent(e.ToAgentID)
}

func (t telling) sentence(e *ent.HistoryEntry) string {
	doer, from, to := t.doer(e), t.agent(e.FromAgentID), t.receiver(e)
	switch e.Kind {
	case historyentry.KindARRIVED:
		return "The contact arrived."
	case historyentry.KindCLAIMED:
		return doer + " took the contact from the queue."
	case historyentry.KindOPENED:
		if e.DoneByID == nil {
			doer = "The contact"
		}
		if e.ToAgentID == nil {
			return doer + " began a conversation, which nobody served yet."
		}
		return fmt.Sprintf("%s began a conversation, which went to %s.", doer, to)
	case historyentry.KindASSIGNED:
		return fmt.Sprintf("%s assigned the contact to %s.", doer, to)
	case historyentry.KindTRANSFERRED:
		if e.FromAgentID == nil {
			return fmt.Sprintf("%s passed the contact on to %s.", doer, to)
		}
		return fmt.Sprintf("%s passed the contact on from %s to %s.", doer, from, to)
	case historyentry.KindDISTRIBUTED:
		return fmt.Sprintf("Canopy gave the contact to %s.", to)
	case historyentry.KindOFFERED:
		return fmt.Sprintf("Canopy offered the contact to %s.", to)
	case historyentry.KindOFFER_DECLINED:
		return doer + " declined the offer."
	case historyentry.KindOFFER_ENDED:
		return "The offer ended without an answer."
	case historyentry.KindESCALATED:
		return "The contact had waited so long that the queue above shows it too."
	case historyentry.KindTAKEN_BACK:
		return "The queue above does not show the contact any more."
	case historyentry.KindQUEUED:
		return "The contact waits in the queue of a group."
	case historyentry.KindHANDED_OVER:
		return fmt.Sprintf("%s deactivated %s, and the contact was handed over to %s.", doer, from, to)
	case historyentry.KindCOVERED:
		if to == "you" {
			return "The contact went to you, because you cover for its agent."
		}
		return fmt.Sprintf("The contact went to %s, who covers for its agent.", to)
	case historyentry.KindBROUGHT_BACK:
		return fmt.Sprintf("The cover is over, and the contact went back from %s to %s.", from, to)
	case historyentry.KindCLOSED:
		return doer + " closed the conversation."
	}
	return ""
}
