// Package audit writes the audit trail: one event for each change, in the transaction of the change, so that neither
// is ever there without the other.
//
// directory and desk call Record as the last step of a use-case; events are read through Ent like any other entity,
// and ent/rule decides who sees them. No event is ever deleted, and none is changed but by Forget.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/auditevent"
	"canopy/internal/mask"
	"canopy/relay"

	"entgo.io/ent/dialect/sql"
)

// Event is one change.
type Event struct {
	// AccountID and UserID say whose account was changed, and who did it. Left at 0 they are those of the viewer; with
	// an AccountID and no UserID it was the platform operator or Canopy itself.
	AccountID int64
	UserID    int64

	Action     string // in words of the domain, upper case: "GROUP_MOVED"
	TargetKind relay.Kind
	TargetID   int64
	// Before and After are what was changed, as JSON objects with the same fields; nil for what did not exist. Phone
	// numbers and addresses of contacts in them are recorded masked.
	Before, After any
	Reason        string
	At            time.Time // UTC, microseconds
}

// Fields is the usual Before and After: the changed fields by the names that the schema gives them.
type Fields map[string]any

// maxAtOnce is how many events one statement writes: a statement takes only so many parameters.
const maxAtOnce = 1000

// Record writes the events within the transaction. The request id comes from the context.
func Record(ctx context.Context, tx *ent.Tx, events ...Event) error {
	creates := make([]*ent.AuditEventCreate, len(events))
	for i, e := range events {
		var err error
		if creates[i], err = e.create(ctx, tx); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(creates, maxAtOnce) {
		// Everybody's changes are recorded, and hardly anybody may see the trail.
		if err := tx.AuditEvent.CreateBulk(part...).Exec(authz.Trusted(ctx)); err != nil {
			return fmt.Errorf("audit: recording changes: %w", err)
		}
	}
	return nil
}

func (e Event) create(ctx context.Context, tx *ent.Tx) (*ent.AuditEventCreate, error) {
	if v := authz.FromContext(ctx); v != nil && e.AccountID == 0 {
		e.AccountID, e.UserID = v.AccountID, v.UserID
	}
	if e.AccountID == 0 {
		return nil, errors.New("audit: an event needs a viewer or an account")
	}
	before, err := document(e.TargetKind, e.Before)
	if err != nil {
		return nil, fmt.Errorf("audit: before %s: %w", e.Action, err)
	}
	after, err := document(e.TargetKind, e.After)
	if err != nil {
		return nil, fmt.Errorf("audit: after %s: %w", e.Action, err)
	}
	create := tx.AuditEvent.Create().SetAccountID(e.AccountID).SetAction(e.Action).
		SetTargetKind(string(e.TargetKind)).SetTargetID(e.TargetID).
		SetReason(e.Reason).SetRequestID(RequestID(ctx)).SetAt(e.At)
	if e.UserID != 0 {
		create.SetUserID(e.UserID)
	}
	if before != nil {
		create.SetBefore(before)
	}
	if after != nil {
		create.SetAfter(after)
	}
	return create, nil
}

// document returns the JSON of an event's side, nil for none, with what identifies a customer masked.
func document(kind relay.Kind, side any) (json.RawMessage, error) {
	if side == nil {
		return nil, nil
	}
	raw, err := json.Marshal(side)
	if err != nil {
		return nil, err
	}
	switch kind {
	case relay.KindContact, relay.KindContactAssignment, relay.KindConversation, relay.KindMessage, relay.KindNote:
	default:
		return raw, nil
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("%T is not a JSON object: %w", side, err)
	}
	hide(fields)
	return json.Marshal(fields)
}

// hide masks the addresses of a contact, at any depth. The address on a channel can be a phone number or anything
// else and is masked altogether.
func hide(fields map[string]any) {
	for name, value := range fields {
		switch v := value.(type) {
		case map[string]any:
			hide(v)
		case string:
			switch name {
			case "phone":
				fields[name] = mask.Phone(v)
			case "email":
				fields[name] = mask.Email(v)
			case "address":
				fields[name] = mask.Hidden
			}
		}
	}
}

type requestKey struct{}

// maxRequestID is the length that the column admits.
const maxRequestID = 64

// WithRequestID returns a context whose events carry the id of the request, which the log has too. A longer id than
// 64 bytes is cut.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, strings.ToValidUTF8(id[:min(len(id), maxRequestID)], ""))
}

// RequestID returns the id of the request, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// Forget takes the given fields out of everything that was recorded about a target, leaving a pseudonym: the one
// change that an event ever sees, because whoever is deleted has a right to it.
func Forget(ctx context.Context, tx *ent.Tx, accountID int64, kind relay.Kind, id int64, fields ...string) error {
	events, err := tx.AuditEvent.Query().Where(auditevent.AccountID(accountID),
		auditevent.TargetKind(string(kind)), auditevent.TargetID(id)).All(authz.Trusted(ctx))
	if err != nil {
		return fmt.Errorf("audit: loading what to forget: %w", err)
	}
	for _, e := range events {
		before, inBefore := without(e.Before, fields)
		after, inAfter := without(e.After, fields)
		if !inBefore && !inAfter {
			continue
		}
		err := tx.AuditEvent.UpdateOneID(e.ID).Modify(func(u *sql.UpdateBuilder) {
			if inBefore {
				u.Set(auditevent.FieldBefore, before)
			}
			if inAfter {
				u.Set(auditevent.FieldAfter, after)
			}
		}).Exec(authz.Trusted(ctx))
		if err != nil {
			return fmt.Errorf("audit: forgetting: %w", err)
		}
	}
	return nil
}

// without returns the document with the fields erased, and whether there were any.
func without(raw json.RawMessage, fields []string) (json.RawMessage, bool) {
	var side map[string]any
	if json.Unmarshal(raw, &side) != nil {
		return nil, false
	}
	erased := false
	for _, name := range fields {
		if _, there := side[name]; there {
			side[name] = "(erased)"
			erased = true
		}
	}
	if !erased {
		return nil, false
	}
	text, err := json.Marshal(side)
	return text, err == nil
}
