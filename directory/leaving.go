package directory

import (
	"context"
	"errors"
	"fmt"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/readmark"
	"canopy/ent/generated/rolegrant"
	"canopy/ent/generated/user"
	"canopy/ent/rule"
	"canopy/internal/fold"
	"canopy/refusal"
	"canopy/relay"
	"canopy/tree"
)

// HandoverMethod says where the open conversations of a leaving user go.
type HandoverMethod string

// The methods.
const (
	HandoverToAgent  HandoverMethod = "TO_AGENT"  // to an agent that is named
	HandoverToQueue  HandoverMethod = "TO_QUEUE"  // to the queue of the home group
	HandoverByMethod HandoverMethod = "BY_METHOD" // to the home group, by its assignment mode
)

// Handover takes over what a leaving user serves, within the transaction of the deactivation. The leaver is not ACTIVE
// any more when it is called. It tells of each contact where it went: to an agent, or with 0 to the queue of a group.
// agentID is 0 unless the method is TO_AGENT. Return is called when a user says that they are available.
type Handover interface {
	HandOver(ctx context.Context, tx *ent.Tx, leaver *ent.User, method string, agentID int64, tell func(contactID, agentID, groupID int64)) error
	Return(ctx context.Context, tx *ent.Tx, userID int64) error
}

// DeactivateUser is the input of Service.DeactivateUser. An agent is named with HandoverToAgent only.
type DeactivateUser struct {
	UserID          int64
	Handover        HandoverMethod
	HandoverAgentID *int64
	Reason          string
	PreviewToken    *string // of PreviewDeactivateUser; nil: whatever it hands over
}

// DeactivatedUser is a user who may not log in any more, and how many contacts were handed over.
type DeactivatedUser struct {
	User       *ent.User
	HandedOver int
}

// DeactivateUser ends what a user may do, at once, and hands over their open conversations.
func (s *Service) DeactivateUser(ctx context.Context, in DeactivateUser) (*DeactivatedUser, error) {
	var result *DeactivatedUser
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) (err error) {
		left, shown, err := s.deactivateUser(ctx, d, in)
		if err != nil {
			return err
		}
		result = left
		return in.asShown(d.viewer, shown)
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// deactivateUser is the change itself, for DeactivateUser and its preview. It also says what the viewer may be shown of it.
func (s *Service) deactivateUser(ctx context.Context, d *doing, in DeactivateUser) (*DeactivatedUser, *DeactivationPreview, error) {
	m, err := d.leaver(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	if err := in.check(); err != nil {
		return nil, nil, err
	}
	reason, err := d.reason(in.Reason)
	if err != nil {
		return nil, nil, err
	}
	shown, err := d.servedBy(ctx, m.ID)
	if err != nil {
		return nil, nil, err
	}
	if in.Handover == HandoverByMethod { // locked before users
		if err := tree.LockDistribution(ctx, d.tx, m.HomeGroupID); err != nil {
			return nil, nil, err
		}
	}
	left, err := s.deactivate(ctx, d, m.ID)
	if err != nil {
		return nil, nil, err
	}
	if err := s.handOver(ctx, d, left, in, shown); err != nil {
		return nil, nil, err
	}
	return &DeactivatedUser{User: left, HandedOver: shown.HandedOver}, shown, d.record(ctx, audit.Event{
		Action: "USER_DEACTIVATED", TargetKind: relay.KindUser, TargetID: m.ID, Reason: reason,
		Before: audit.Fields{"status": m.Status},
		After:  audit.Fields{"status": left.Status, "handover": in.Handover, "handedOver": shown.HandedOver}})
}

// leaver loads the user and looks whether the viewer sees who takes over, and may deactivate.
func (d *doing) leaver(ctx context.Context, in DeactivateUser) (member, error) {
	m, err := d.user(ctx, in.UserID)
	if err != nil {
		return member{}, err
	}
	if in.HandoverAgentID != nil {
		if err := d.seesAgent(ctx, *in.HandoverAgentID); err != nil {
			return member{}, err
		}
	}
	if err := d.may(authz.UsersDeactivate, m.target(), "at this user"); err != nil {
		return member{}, err
	}
	if err := d.notOneself(m.ID); err != nil {
		return member{}, err
	}
	giving, err := d.giving(ctx)
	if err != nil {
		return member{}, err
	}
	return m, d.outranks(ctx, giving, m.ID)
}

// seesAgent refuses an agent of whom the viewer sees neither the card nor the record. Whether they serve is for the
// hand-over to say.
func (d *doing) seesAgent(ctx context.Context, id int64) error {
	_, err := d.tx.User.Query().Where(user.ID(id)).Only(rule.AsCards(ctx))
	if ent.IsNotFound(err) {
		_, err = d.tx.User.Query().Where(user.ID(id)).Only(ctx)
	}
	if err != nil {
		return found(err, "agent")
	}
	return nil
}

func (in DeactivateUser) check() error {
	switch in.Handover {
	case HandoverToAgent:
		if in.HandoverAgentID == nil {
			return refusal.BadInput("input.handoverAgentId", "Name the agent who takes over, or choose another way of handing over.")
		}
		if *in.HandoverAgentID == in.UserID {
			return refusal.BadInput("input.handoverAgentId", "The user who leaves cannot take over. Name another agent.")
		}
		return nil
	case HandoverToQueue, HandoverByMethod:
		if in.HandoverAgentID != nil {
			return refusal.BadInput("input.handoverAgentId", "An agent is named with TO_AGENT only. Leave it out, or choose TO_AGENT.")
		}
		return nil
	}
	return refusal.BadInput("input.handover", "%q is not a way of handing over.", string(in.Handover))
}

// deactivate changes the status, ends the sessions and makes sure that an owner is left.
func (s *Service) deactivate(ctx context.Context, d *doing, id int64) (*ent.User, error) {
	now, err := lockUser(ctx, d.tx, id)
	if err != nil {
		return nil, err
	}
	if now.Status == user.StatusDEACTIVATED {
		return nil, refusal.Conflict(refusal.AlreadyDeactivated, "The user is deactivated already.")
	}
	owner, err := d.tx.RoleGrant.Query().Where(d.isOwner()...).Where(rolegrant.UserID(id)).Exist(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: looking for owners: %w", err)
	}
	left, err := d.tx.User.UpdateOneID(id).SetStatus(user.StatusDEACTIVATED).SetDeactivatedAt(d.at).
		ClearSetupTokenHash().ClearSetupExpiresAt().Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("directory: deactivating user %d: %w", id, err)
	}
	if owner || isPrimaryOwner(d.account, id) {
		if err := d.ownersRemain(ctx, id); err != nil {
			return nil, err
		}
	}
	_, err = endSessions(ctx, d.tx, id, 0)
	return left, err
}

func (s *Service) handOver(ctx context.Context, d *doing, leaver *ent.User, in DeactivateUser, shown *DeactivationPreview) error {
	if s.Handover == nil {
		return errors.New("directory: nobody takes over what a leaving user serves")
	}
	var agent int64
	if in.HandoverAgentID != nil {
		agent = *in.HandoverAgentID
	}
	return s.Handover.HandOver(ctx, d.tx, leaver, string(in.Handover), agent, shown.add)
}

// ReactivateUser is the input of Service.ReactivateUser.
type ReactivateUser struct {
	UserID int64
	Reason string
}

// ReactivateUser lets a deactivated user log in again. Who has no password is INVITED again and needs a new token.
func (s *Service) ReactivateUser(ctx context.Context, in ReactivateUser) (*ent.User, error) {
	var back *ent.User
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		m, err := d.subordinate(ctx, in.UserID, authz.UsersDeactivate)
		if err != nil {
			return err
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		if m.Status != user.StatusDEACTIVATED {
			return notDeactivated()
		}
		status := user.StatusACTIVE
		if m.PasswordHash == nil {
			status = user.StatusINVITED
		}
		if back, err = d.tx.User.UpdateOneID(m.ID).SetStatus(status).ClearDeactivatedAt().Save(ctx); err != nil {
			return fmt.Errorf("directory: reactivating user %d: %w", m.ID, err)
		}
		err = d.record(ctx, audit.Event{Action: "USER_REACTIVATED", TargetKind: relay.KindUser, TargetID: m.ID, Reason: reason,
			Before: audit.Fields{"status": m.Status}, After: audit.Fields{"status": back.Status}})
		if err != nil {
			return err
		}
		return givesOut(ctx, d.tx, back, d.at)
	})
	if err != nil {
		return nil, err
	}
	return back, nil
}

func notDeactivated() error {
	return refusal.Conflict(refusal.NotDeactivated, "The user is not deactivated. Deactivate the user first.")
}

// DeleteUser is the input of Service.DeleteUser.
type DeleteUser struct {
	UserID int64
	Reason string
}

// DeleteUser erases a deactivated user for ever. The row stays under a pseudonym, for what refers to it; the audit
// trail forgets what the user was called.
func (s *Service) DeleteUser(ctx context.Context, in DeleteUser) error {
	return s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) error {
		m, err := d.subordinate(ctx, in.UserID, authz.UsersDelete)
		if err != nil {
			return err
		}
		reason, err := d.reason(in.Reason)
		if err != nil {
			return err
		}
		if m.Status != user.StatusDEACTIVATED {
			return notDeactivated()
		}
		if err := d.erase(ctx, m); err != nil {
			return err
		}
		return d.record(ctx, audit.Event{Action: "USER_DELETED", TargetKind: relay.KindUser, TargetID: m.ID, Reason: reason,
			Before: audit.Fields{"status": m.Status}, After: audit.Fields{"status": user.StatusDELETED}})
	})
}

// erase takes the person out of the user and ends all that the user held.
func (d *doing) erase(ctx context.Context, m member) error {
	trusted := authz.Trusted(ctx)
	name := fmt.Sprintf("Deleted user %d", m.ID)
	email := fmt.Sprintf("deleted-%d@deleted.invalid", m.ID)
	err := d.tx.User.UpdateOneID(m.ID).SetStatus(user.StatusDELETED).
		SetName(name).SetNameKey(fold.Key(name)).SetEmail(email).SetEmailKey(fold.Key(email)).
		ClearPasswordHash().ClearSetupTokenHash().ClearSetupExpiresAt().Exec(trusted)
	if err != nil {
		return fmt.Errorf("directory: erasing user %d: %w", m.ID, err)
	}
	if _, err := endSessions(ctx, d.tx, m.ID, 0); err != nil {
		return err
	}
	if _, err := d.tx.ReadMark.Delete().Where(readmark.UserID(m.ID)).Exec(trusted); err != nil {
		return fmt.Errorf("directory: deleting the read marks of user %d: %w", m.ID, err)
	}
	err = d.tx.RoleGrant.Update().Where(rolegrant.UserID(m.ID), rolegrant.RevokedAtIsNil()).
		SetRevokedAt(d.at).SetRevokedByID(d.viewer.UserID).Exec(trusted)
	if err != nil {
		return fmt.Errorf("directory: ending the grants of user %d: %w", m.ID, err)
	}
	if err := tree.RemoveUser(ctx, d.tx, m.HomeGroupID); err != nil {
		return err
	}
	return audit.Forget(ctx, d.tx, d.account.ID, relay.KindUser, m.ID, "name", "email")
}
