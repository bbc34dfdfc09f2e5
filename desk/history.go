package desk

import (
	"context"
	"encoding/json"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contactassignment"
	"canopy/ent/generated/historyentry"
	"canopy/tree"
)

// The history of a contact says, in one entry for each, what changed who serves it or where it waits, and what was
// about to. It is written by the steps from which the use-cases are made (serve.go), and read by whoever sees the
// contact's conversations, so its words name nobody.

// told is what the history is told of a contact; whom and what it leaves is in the contact that is held.
type told struct {
	kind       historyentry.Kind
	how        how
	agent      int64 // who serves it afterwards, 0 for nobody
	group      int64 // where it is afterwards
	talk       talk
	assignment *ent.ContactAssignment // that began by it, or nil
}

// talk is what a change does to the conversations of a contact, 0 for none.
type talk struct {
	open  int64 // the one that is open afterwards, or that was closed and has no successor
	ended int64 // the one that ended because the agent changed
}

// kinds are what the history calls a change of agent, by its method.
var kinds = map[contactassignment.Method]historyentry.Kind{
	contactassignment.MethodCLAIM:        historyentry.KindCLAIMED,
	contactassignment.MethodOPENED:       historyentry.KindOPENED,
	contactassignment.MethodASSIGNED:     historyentry.KindASSIGNED,
	contactassignment.MethodTRANSFERRED:  historyentry.KindTRANSFERRED,
	contactassignment.MethodHANDED_OVER:  historyentry.KindHANDED_OVER,
	contactassignment.MethodROUND_ROBIN:  historyentry.KindDISTRIBUTED,
	contactassignment.MethodRADAR:        historyentry.KindDISTRIBUTED,
	contactassignment.MethodCOVERED:      historyentry.KindCOVERED,
	contactassignment.MethodBROUGHT_BACK: historyentry.KindBROUGHT_BACK,
}

// tell writes an entry of the contact's history. It comes before settle, which changes counters that are everybody's. What
// does not say that it changes the open conversation happens during it.
func (j *job) tell(ctx context.Context, h *held, t told) error {
	if t.talk == (talk{}) && h.state() == tree.Open {
		c, err := j.openOf(ctx, h)
		if err != nil {
			return err
		}
		t.talk.open = c.ID
	}
	entry := j.entry(h.ID, t).SetFromGroupID(h.GroupID)
	if h.agent() != 0 {
		entry.SetFromAgentID(h.agent())
	}
	if err := entry.Exec(authz.Trusted(ctx)); err != nil {
		return fmt.Errorf("desk: writing the history of contact %d: %w", h.ID, err)
	}
	return nil
}

// entry is what tell writes, for a contact that comes from nowhere.
func (j *job) entry(contactID int64, t told) *ent.HistoryEntryCreate {
	entry := j.tx.HistoryEntry.Create().SetAccountID(j.viewer.AccountID).SetContactID(contactID).SetKind(t.kind).SetAt(j.now).
		SetExplanation(t.how.explanation).SetReason(t.how.reason).SetToGroupID(t.group).
		SetNillableDoneByID(orNil(j.doneBy(t.kind))).SetNillableToAgentID(orNil(t.agent)).SetNillableCoverID(orNil(t.how.cover)).
		SetNillableConversationID(orNil(t.talk.open)).SetNillablePreviousConversationID(orNil(t.talk.ended))
	if t.assignment != nil {
		entry.SetAssignmentID(t.assignment.ID).SetMethod(historyentry.Method(t.assignment.Method))
	}
	if len(t.how.considered) > 0 {
		entry.SetConsidered(spell(t.how.considered))
	}
	return entry
}

// doneBy is whose doing it is, 0 for that of Canopy itself or of the contact.
func (j *job) doneBy(kind historyentry.Kind) int64 {
	switch kind {
	case historyentry.KindDISTRIBUTED, historyentry.KindOFFERED, historyentry.KindOFFER_ENDED, historyentry.KindESCALATED,
		historyentry.KindTAKEN_BACK, historyentry.KindQUEUED:
		return 0
	}
	if j.hears {
		return 0
	}
	return j.viewer.UserID // 0 when Canopy does it by itself
}

func orNil(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}

// Candidate is an agent who came into question for a contact, and what became of it.
type Candidate struct {
	UserID  int64  `json:"user"`
	Outcome string `json:"outcome"`
}

// maxConsidered is how many candidates an entry keeps.
const maxConsidered = 100

func spell(list []considered) json.RawMessage {
	candidates := make([]Candidate, 0, min(len(list), maxConsidered))
	for _, c := range list[:min(len(list), maxConsidered)] {
		candidates = append(candidates, Candidate{c.userID, c.outcome})
	}
	raw, err := json.Marshal(candidates)
	if err != nil {
		panic(err) // numbers and texts only: it cannot fail
	}
	return raw
}

// Candidates returns who came into question for the contact, in the order in which they were considered, whether or
// not the viewer sees them.
func Candidates(e *ent.HistoryEntry) ([]Candidate, error) {
	if len(e.Considered) == 0 {
		return nil, nil
	}
	var list []Candidate
	err := json.Unmarshal(e.Considered, &list)
	return list, err
}
