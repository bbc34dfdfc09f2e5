package directory

import (
	"context"
	"fmt"

	"canopy/audit"
	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/group"
	"canopy/ent/generated/grouprequest"
	"canopy/ent/rule"
	"canopy/refusal"
	"canopy/relay"
)

// maxWaiting is how many requests of one account wait for a decision at most.
const maxWaiting = 200

// requestGroup turns a creation into a request, where groups are created ON_REQUEST.
func (d *doing) requestGroup(ctx context.Context, parent *ent.Group, name, reason string) (*ent.GroupRequest, error) {
	waiting, err := d.tx.GroupRequest.Query().Where(grouprequest.AccountID(d.account.ID), grouprequest.StatusEQ(grouprequest.StatusPENDING)).
		Count(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: counting requests for groups: %w", err)
	}
	if waiting >= maxWaiting {
		return nil, refusal.Conflict("", "%d requests for groups wait for a decision already. Wait until some are decided.", waiting)
	}
	r, err := d.tx.GroupRequest.Create().SetAccountID(d.account.ID).SetParentID(parent.ID).SetName(name).
		SetRequestedByID(d.viewer.UserID).SetReason(reason).SetCreatedAt(d.at).Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("directory: requesting a group: %w", err)
	}
	return r, d.record(ctx, audit.Event{Action: "GROUP_REQUESTED", TargetKind: relay.KindGroupRequest, TargetID: r.ID, Reason: reason,
		After: audit.Fields{"name": name, "parent": groupID(parent.ID)}})
}

// maxPending is how many requests the platform operator gets to see at once.
const maxPending = 1000

// PendingGroupRequests returns the requests of all accounts that wait for a decision, oldest first, 1000 at most, with
// their accounts, parents and who asks. It is for the platform operator.
func (s *Service) PendingGroupRequests(ctx context.Context) ([]*ent.GroupRequest, error) {
	list, err := s.DB.Read.GroupRequest.Query().Where(grouprequest.StatusEQ(grouprequest.StatusPENDING)).
		WithAccount().WithParent().WithRequestedBy().Order(grouprequest.ByID()).Limit(maxPending).All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("directory: loading requests for groups: %w", err)
	}
	return list, nil
}

// DecideGroupRequest is the input of Service.ApproveGroupRequest and Service.RefuseGroupRequest.
type DecideGroupRequest struct {
	RequestID int64
	Note      string // what the requester gets to read
}

// ApproveGroupRequest makes the group that somebody requested, as they would create it now: they still need the
// permission, and plan, depth and name have to admit it. It is for the platform operator.
func (s *Service) ApproveGroupRequest(ctx context.Context, in DecideGroupRequest) (*ent.Group, error) {
	var made *ent.Group
	err := s.decide(ctx, in, grouprequest.StatusAPPROVED, func(ctx context.Context, d *doing, r *ent.GroupRequest) (err error) {
		parent, err := d.tx.Group.Query().Where(group.ID(r.ParentID)).Only(ctx)
		if err != nil {
			return found(err, "group")
		}
		requester, err := s.LoadViewer(ctx, d.tx, r.RequestedByID)
		if err != nil {
			return err
		}
		who, err := d.anyUser(ctx, r.RequestedByID)
		if err != nil {
			return err
		}
		if who.Status != "ACTIVE" || !requester.Can(authz.GroupsCreate, authz.AtGroup(rule.PlaceOf(parent))) {
			return refusal.Limit("", authz.GroupsCreate, "at the group above, for who requested it",
				"Who requested the group may not create groups there any more.", "Refuse the request.")
		}
		if err := s.hasRoomFor(ctx, d, parent, r.Name); err != nil {
			return err
		}
		made, err = s.createGroup(ctx, d, parent, r.Name, r.Reason)
		if err != nil {
			return err
		}
		return d.tx.GroupRequest.UpdateOneID(r.ID).SetGroupID(made.ID).Exec(ctx)
	})
	if err != nil {
		return nil, err
	}
	return made, nil
}

// RefuseGroupRequest ends a request without a group. It is for the platform operator.
func (s *Service) RefuseGroupRequest(ctx context.Context, in DecideGroupRequest) (*ent.GroupRequest, error) {
	var refused *ent.GroupRequest
	err := s.decide(ctx, in, grouprequest.StatusREFUSED, func(ctx context.Context, d *doing, r *ent.GroupRequest) (err error) {
		refused, err = d.tx.GroupRequest.Get(ctx, r.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

// decide writes the decision down and then carries it out.
func (s *Service) decide(ctx context.Context, in DecideGroupRequest, to grouprequest.Status,
	carryOut func(ctx context.Context, d *doing, r *ent.GroupRequest) error) error {
	request, err := s.DB.Read.GroupRequest.Get(authz.Trusted(ctx), in.RequestID)
	if err != nil {
		return found(err, "request")
	}
	return s.operate(ctx, request.AccountID, func(ctx context.Context, d *doing) error {
		note, err := checkText("input.note", "note", in.Note, maxReason)
		if err != nil {
			return err
		}
		r, err := d.tx.GroupRequest.Get(ctx, in.RequestID)
		if err != nil {
			return found(err, "request")
		}
		if r.Status != grouprequest.StatusPENDING {
			return refusal.Conflict(refusal.AlreadyDecided, "The request has been decided already: it is %s.", r.Status)
		}
		err = d.tx.GroupRequest.UpdateOneID(r.ID).SetStatus(to).SetDecisionNote(note).SetDecidedAt(d.at).Exec(ctx)
		if err != nil {
			return fmt.Errorf("directory: deciding a request: %w", err)
		}
		if err := carryOut(ctx, d, r); err != nil {
			return err
		}
		return d.record(ctx, audit.Event{Action: "GROUP_REQUEST_" + string(to), TargetKind: relay.KindGroupRequest, TargetID: r.ID,
			Before: audit.Fields{"status": r.Status, "decisionNote": r.DecisionNote},
			After:  audit.Fields{"status": to, "decisionNote": note}})
	})
}
