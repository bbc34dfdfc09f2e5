package desk

import (
	"context"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/contactassignment"
	"canopy/refusal"
	"canopy/relay"
)

// AssignContact says who shall serve a contact, or in which group it shall wait: exactly one of the two is given. An
// id of 0 that is given names nothing.
type AssignContact struct {
	ContactID int64
	AgentID   *int64
	GroupID   *int64
	Reason    string
}

// TransferContact is AssignContact for whoever serves the contact.
type TransferContact struct {
	ContactID int64
	AgentID   *int64
	GroupID   *int64
	Reason    string
}

// Assigned is what became of a contact that was claimed, assigned or transferred.
type Assigned struct {
	Contact    *ent.Contact           // nil when the viewer does not see it any more
	Assignment *ent.ContactAssignment // nil when it went to a group, and when the viewer does not see it
}

// AssignContact decides who serves a contact. It needs CONVERSATIONS_ASSIGN at the contact.
func (s *Service) AssignContact(ctx context.Context, in AssignContact) (*Assigned, error) {
	return s.pass(ctx, in, assigning())
}

func assigning() passing {
	return passing{
		permission: authz.ConversationsAssign, action: "CONTACT_ASSIGNED",
		how: how{method: contactassignment.MethodASSIGNED, explanation: "It was decided by somebody who may say who serves the contact."},
	}
}

// TransferContact passes a contact on. It needs CONVERSATIONS_TRANSFER at the contact.
func (s *Service) TransferContact(ctx context.Context, in TransferContact) (*Assigned, error) {
	return s.pass(ctx, AssignContact(in), transferring())
}

func transferring() passing {
	return passing{
		permission: authz.ConversationsTransfer, action: "CONTACT_TRANSFERRED",
		how: how{method: contactassignment.MethodTRANSFERRED, explanation: "It was passed on."},
	}
}

// passing is in what assigning and transferring differ.
type passing struct {
	permission authz.Permission
	action     string
	how        how
}

func (s *Service) pass(ctx context.Context, in AssignContact, p passing) (*Assigned, error) {
	var out *Assigned
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		if _, err := j.see(ctx, in.ContactID); err != nil {
			return err
		}
		to, err := j.receiver(ctx, in.AgentID, in.GroupID)
		if err != nil {
			return err
		}
		if to.agent == nil && to.group != 0 {
			if to.taker, err = j.prepareRelease(ctx, in.ContactID, to.group); err != nil {
				return err
			}
		}
		h, err := j.hold(ctx, in.ContactID, to.groups()...)
		if err != nil {
			return err
		}
		if to.agent == nil && in.GroupID != nil { // somebody may have moved it before it was locked
			if err := j.groupReceives(ctx, *in.GroupID); err != nil {
				return err
			}
		}
		if err := j.checkPass(ctx, h, in, to, p.permission); err != nil {
			return err
		}
		a, err := j.passAs(ctx, h, to, p, in.Reason)
		if err != nil {
			return err
		}
		out, err = j.outcome(ctx, h.ID, a)
		return err
	})
	return out, err
}

// passAs gives the contact to the receiver, and records it.
func (j *job) passAs(ctx context.Context, h *held, to receiver, p passing, reason string) (*ent.ContactAssignment, error) {
	a, err := j.passTo(ctx, h, to, p.how.because(reason))
	if err != nil {
		return nil, err
	}
	return a, j.recordPass(ctx, p.action, h, to, reason)
}

// checkPass refuses, in the order of ruling 16, what cannot be done with a contact and a receiver that exist.
func (j *job) checkPass(ctx context.Context, h *held, in AssignContact, to receiver, p authz.Permission) error {
	if err := j.may(p, h); err != nil {
		return err
	}
	if err := j.checkPassInput(ctx, in); err != nil {
		return err
	}
	return to.takes(h)
}

// checkPassInput refuses what cannot be asked of any contact.
func (j *job) checkPassInput(ctx context.Context, in AssignContact) error {
	if (in.AgentID == nil) == (in.GroupID == nil) {
		return refusal.BadInput("input", "Name either an agent or a group.")
	}
	return j.checkReason(ctx, in.Reason)
}

// takes refuses a contact that the receiver cannot take over.
func (r receiver) takes(h *held) error {
	if r.conflict != nil {
		return r.conflict
	}
	if r.agent != nil && r.agent.ID == h.agent() {
		return refusal.Conflict(refusal.AlreadyAssigned, "This agent serves the contact already.")
	}
	return nil
}

// passTo gives the contact to the receiver. The assignment is nil when that is a group.
func (j *job) passTo(ctx context.Context, h *held, to receiver, by how) (*ent.ContactAssignment, error) {
	if to.agent != nil {
		return j.give(ctx, h, to.agent, by)
	}
	return nil, j.release(ctx, h, to.group, to.taker, by)
}

// prepareRelease prepares who takes a contact that is sent to a group; not who serves it now.
func (j *job) prepareRelease(ctx context.Context, contactID, groupID int64) (*prepared, error) {
	c, err := j.see(ctx, contactID)
	if err != nil {
		return nil, err
	}
	return j.prepare(ctx, groupID, nil, orNone(c.AssignedUserID))
}

func (j *job) recordPass(ctx context.Context, action string, h *held, to receiver, reason string) error {
	return audit.Record(ctx, j.tx, j.passed(action, h.ID, h.agent(), h.GroupID, to, reason))
}

// passed is the event of a contact that passes from an agent, 0 for nobody, and a group to the receiver.
func (j *job) passed(action string, contactID, agent, group int64, to receiver, reason string) audit.Event {
	next := int64(0)
	if to.agent != nil {
		next = to.agent.ID
	}
	return j.event(action, relay.KindContact, contactID,
		audit.Fields{"agent": ref(relay.KindAgent, agent), "group": ref(relay.KindGroup, group)},
		audit.Fields{"agent": ref(relay.KindAgent, next), "group": ref(relay.KindGroup, to.group)}, reason)
}

// outcome is what the viewer sees of a contact after it changed hands.
func (j *job) outcome(ctx context.Context, contactID int64, a *ent.ContactAssignment) (*Assigned, error) {
	c, err := j.tx.Contact.Query().Where(contact.ID(contactID)).Only(ctx)
	if err != nil && !ent.IsNotFound(err) {
		return nil, err
	}
	out := &Assigned{Contact: c}
	if a == nil {
		return out, nil
	}
	visible, err := j.tx.ContactAssignment.Query().Where(contactassignment.ID(a.ID)).Exist(ctx)
	if visible {
		out.Assignment = a
	}
	return out, err
}
