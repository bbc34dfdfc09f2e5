package directory

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"canopy/authz"
	"canopy/ent/generated/contact"
	"canopy/refusal"
	"canopy/tree"
)

// DeactivationPreview is what a deactivation hands over.
type DeactivationPreview struct {
	Token      string
	HandedOver int // contacts, also those that the viewer does not see
	// Contacts are those that the viewer sees, in the order of their numbers, at most MaxHandovers; More says that there
	// are others.
	Contacts []*ForeseenHandover
	More     bool

	seen map[int64]bool // what the viewer saw of the leaver's contacts before
	sum  []ForeseenHandover
}

// ForeseenHandover is a contact that is handed over: to the agent, or with 0 to the queue of the group.
type ForeseenHandover struct{ ContactID, AgentID, GroupID int64 }

// Waits says whether nobody would serve the contact.
func (h ForeseenHandover) Waits() bool { return h.AgentID == 0 }

// MaxHandovers is how many contacts a preview lists.
const MaxHandovers = 200

// PreviewDeactivateUser says what DeactivateUser would hand over, and to whom. It needs what that needs, and like every
// preview it makes the change in a transaction that is never committed.
func (s *Service) PreviewDeactivateUser(ctx context.Context, in DeactivateUser) (*DeactivationPreview, error) {
	var shown *DeactivationPreview
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) (err error) {
		if _, shown, err = s.deactivateUser(ctx, d, in); err != nil {
			return err
		}
		if shown.Token, err = in.token(d.viewer, shown); err != nil {
			return err
		}
		return errPreviewed
	})
	if !errors.Is(err, errPreviewed) {
		return nil, err
	}
	return shown, nil
}

// servedBy begins a preview with the contacts of the leaver that the viewer sees, before anything is changed.
func (d *doing) servedBy(ctx context.Context, userID int64) (*DeactivationPreview, error) {
	ids, err := d.tx.Contact.Query().Where(contact.AccountID(d.account.ID), contact.AssignedUserID(userID),
		contact.Box(int(tree.BoxOf(tree.Open, true)))).IDs(ctx)
	if err != nil {
		return nil, fmt.Errorf("directory: finding what user %d serves: %w", userID, err)
	}
	seen := make(map[int64]bool, len(ids))
	for _, id := range ids {
		seen[id] = true
	}
	return &DeactivationPreview{seen: seen}, nil
}

// add is told of a contact where it went.
func (p *DeactivationPreview) add(contactID, agentID, groupID int64) {
	p.HandedOver++
	if !p.seen[contactID] {
		return
	}
	h := ForeseenHandover{contactID, agentID, groupID}
	p.sum = append(p.sum, h)
	if len(p.Contacts) == MaxHandovers {
		p.More = true
		return
	}
	p.Contacts = append(p.Contacts, &h)
}

// token is the digest of who asks for what, and of where everything goes that they are shown, also beyond the list.
func (in DeactivateUser) token(v *authz.Viewer, shown *DeactivationPreview) (string, error) {
	in.Reason, in.PreviewToken = "", nil
	text, err := json.Marshal([]any{v.AccountID, v.UserID, "deactivateUser", in, shown.HandedOver, shown.sum})
	if err != nil {
		return "", fmt.Errorf("directory: spelling a preview: %w", err)
	}
	digest := sha256.Sum256(text)
	return tokenVersion + base64.RawURLEncoding.EncodeToString(digest[:]), nil
}

// asShown refuses a deactivation that came out otherwise than the preview whose token it carries.
func (in DeactivateUser) asShown(v *authz.Viewer, shown *DeactivationPreview) error {
	if in.PreviewToken == nil {
		return nil
	}
	now, err := in.token(v, shown)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(now), []byte(*in.PreviewToken)) != 1 {
		return refusal.Conflict(refusal.PreviewOutdated, "The deactivation would not hand over what the preview showed: contacts or agents have "+
			"changed since, or the preview was of another input or another viewer's. Look at a new preview.").At("input.previewToken")
	}
	return nil
}
