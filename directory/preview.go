package directory

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"canopy/authz"
	"canopy/refusal"
	"canopy/tree"
)

// A preview makes a change in a transaction that is never committed, by the very function that makes it for good, and
// compares what everybody holds before and after it. So it is refused as the change would be, and judged by the code
// that judges requests.
//
// Nothing of it is kept. Its token is a digest of who asked for what, and of what they were shown; a change that
// carries the token is compared in the same way, inside its own transaction, and refused when it comes out otherwise.
// Whom a change may concern is loaded in previewload.go, before and after compared in previewcompare.go, and what is told
// of it gathered in previewresult.go.

// proposal is what a preview is asked about.
type proposal struct {
	change string // the name of the mutation
	input  any    // without reason and token, spelled in one way
}

func (in MoveGroup) proposal() proposal {
	in.Reason, in.PreviewToken = "", nil
	return proposal{"moveGroup", in}
}

func (in MoveUser) proposal() proposal {
	in.Reason, in.PreviewToken = "", nil
	return proposal{"moveUser", in}
}

func (in GrantRole) proposal() proposal {
	in.Reason, in.PreviewToken = "", nil
	in.ValidFrom, in.ValidUntil = utc(in.ValidFrom), utc(in.ValidUntil)
	return proposal{"grantRole", in}
}

func (in UpdateRole) proposal() proposal {
	in.Reason, in.PreviewToken = "", nil
	if in.Pairs != nil {
		in.Pairs = authz.PairsOf(in.Pairs).List()
	}
	if in.MayGive != nil {
		in.MayGive = once(in.MayGive)
	}
	return proposal{"updateRole", in}
}

// PreviewMoveGroup says what access MoveGroup would change. It needs what that needs, and ACCESS_EXPLAIN.
func (s *Service) PreviewMoveGroup(ctx context.Context, in MoveGroup) (*AccessPreview, error) {
	return s.preview(ctx, in.proposal(), func(ctx context.Context, d *doing) error {
		_, err := s.moveGroup(ctx, d, in)
		return err
	})
}

// PreviewMoveUser says what access MoveUser would change. It needs what that needs, and ACCESS_EXPLAIN.
func (s *Service) PreviewMoveUser(ctx context.Context, in MoveUser) (*AccessPreview, error) {
	return s.preview(ctx, in.proposal(), func(ctx context.Context, d *doing) error {
		_, err := d.moveUser(ctx, in)
		return err
	})
}

// PreviewUpdateRole says what access UpdateRole would change for those who hold the role now. It needs what that needs,
// and ACCESS_EXPLAIN.
func (s *Service) PreviewUpdateRole(ctx context.Context, in UpdateRole) (*AccessPreview, error) {
	return s.preview(ctx, in.proposal(), func(ctx context.Context, d *doing) error {
		_, err := d.updateRole(ctx, in)
		return err
	})
}

// PreviewGrantRole says what access GrantRole would change; for a grant to come, at the moment when it begins, by the
// grants that are in force then. It needs what that needs, and ACCESS_EXPLAIN.
func (s *Service) PreviewGrantRole(ctx context.Context, in GrantRole) (*AccessPreview, error) {
	return s.preview(ctx, in.proposal(), func(ctx context.Context, d *doing) error {
		_, err := d.grantRole(ctx, in)
		return err
	})
}

// errPreviewed rolls back what was done only to be looked at.
var errPreviewed = errors.New("directory: a preview is never committed")

// preview compares when the transaction is over: that may take longer than a writer should keep others waiting.
func (s *Service) preview(ctx context.Context, p proposal, change func(context.Context, *doing) error) (*AccessPreview, error) {
	var f *foresight
	err := s.change(ctx, tree.LockExclusive, func(ctx context.Context, d *doing) (err error) {
		if err := d.may(authz.AccessExplain, authz.Target{}, "on the account"); err != nil {
			return err
		}
		if f, err = d.foreseen(ctx, func() error { return change(ctx, d) }); err != nil {
			return err
		}
		return errPreviewed
	})
	if !errors.Is(err, errPreviewed) {
		return nil, err
	}
	shown, err := f.compare(ctx, p)
	if err != nil {
		return nil, err
	}
	return shown, s.countContacts(ctx, shown)
}

// asForeseen makes a change, and with the token of a preview only if it does what the preview showed.
func (s *Service) asForeseen(ctx context.Context, d *doing, token *string, p proposal, change func() error) error {
	if token == nil {
		return change()
	}
	outdated := refusal.Conflict(refusal.PreviewOutdated, "The change would not do what the preview showed: access has changed since, or the preview "+
		"was of another change or another viewer's. Look at a new preview.").At("input.previewToken")
	if !strings.HasPrefix(*token, tokenVersion) || !d.viewer.CanAccount(authz.AccessExplain) {
		// No preview of this viewer's has this token: there is nothing to compare, but what refuses the change comes first.
		return foremost(change(), outdated)
	}
	f, err := d.foreseen(ctx, change)
	if err != nil {
		return err
	}
	now, err := f.compare(ctx, p)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(now.Token), []byte(*token)) != 1 {
		return outdated
	}
	return nil
}

// foreseen makes the change and remembers how everybody whom it may concern stands before and after it.
func (d *doing) foreseen(ctx context.Context, change func() error) (*foresight, error) {
	f := &foresight{asker: d.viewer}
	d.foresight = f
	if err := change(); err != nil {
		return nil, err
	}
	if f.tooBig {
		return nil, tooBigToForesee()
	}
	if err := f.loadAfter(ctx, d); err != nil {
		return nil, err
	}
	return f, f.count(ctx, d)
}

// tokenVersion begins every token; another way of comparing or of spelling needs another one.
const tokenVersion = "p1."

// tokenOf is the digest of who asks for what and of what they are shown. Contacts are left out: their numbers change
// all the time.
func (f *foresight) tokenOf(p proposal, shown *AccessPreview) (string, error) {
	input, err := json.Marshal(p.input)
	if err != nil {
		return "", fmt.Errorf("directory: spelling the input of %s: %w", p.change, err)
	}
	head, err := json.Marshal([]any{f.asker.AccountID, f.asker.UserID, p.change, string(input)})
	if err != nil {
		return "", fmt.Errorf("directory: spelling a preview of %s: %w", p.change, err)
	}
	digest := sha256.New()
	digest.Write(head)
	digest.Write(shown.digest())
	return tokenVersion + base64.RawURLEncoding.EncodeToString(digest.Sum(nil)), nil
}

func tooBigToForesee() error {
	return refusal.Conflict(refusal.PreviewTooBig, "The change concerns more than %d users or %d groups whose access has to be compared one by one, "+
		"or too many of both at once, which is too much for a preview. Preview a smaller change, or make it without one.", maxForeseenUsers, maxForeseenGroups)
}
