// Package live tells those who have subscribed what happens in their account, in every process that serves.
//
// A use-case calls Publish in its transaction; the events are written last in it, to the table events, with the account's
// next numbers, so that what was rolled back was never published, and the order of the numbers is the order of the
// commits, without holes. A Hub reads them, once for all subscribers of an account, and each Stream judges by its
// subscriber's rights as they are then what an event is to them: nothing, or something that entered their sight, left it or
// changed in it. What is shown of it is loaded by the reader under the row rules.
//
// directory and desk publish, graph subscribes, and server carries what comes out. The package knows no GraphQL and loads
// no viewers; it is no queue for work that has to be done: events are kept for a while and then forgotten.
package live

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/store"
	"canopy/tree"
)

// Kind is what an event is about.
type Kind string

// The kinds. The ids that an event has besides the account's are in brackets.
const (
	Contact      Kind = "CONTACT"      // a contact came to be, changed, changed hands or is gone [contact; conversation: changed with it, 0 for none]
	Conversation Kind = "CONVERSATION" // a conversation was opened, changed or closed [contact, conversation]
	Message      Kind = "MESSAGE"      // something was said [contact, conversation, message]
	Mark         Kind = "MARK"         // a user set their own mark of what they have read, which is for that user alone [contact, conversation, user]
	Tags         Kind = "TAGS"         // a tag of the account is another one or gone, on every conversation that has it
	Group        Kind = "GROUP"        // a group came to be, changed, moved or is gone [group]
	Branch       Kind = "BRANCH"       // many contacts at once came to or left a group and what is below it [group]
	User         Kind = "USER"         // a user changed, or their card [user]
	Access       Kind = "ACCESS"       // what somebody may do, or a session [user; 0: of several users]
)

// Event is something that happened. Was and Now say where it stood before and stands after, with all that rights are judged
// by: what was deleted has no Now, what came to be no Was.
type Event struct {
	AccountID int64
	Kind      Kind

	ContactID, ConversationID, MessageID, GroupID, UserID int64

	Was, Now *Stand
	At       time.Time // UTC, microseconds

	sequence int64
}

// Stand is where a contact, a group or a user stands.
type Stand struct {
	GroupID int64 `json:"group"`             // of a contact its group, of a user the home group, or the group itself
	AgentID int64 `json:"agent,omitempty"`   // who serves the contact, 0 for nobody
	Offered int64 `json:"offered,omitempty"` // to whom the contact is offered, 0 for nobody
	// Escalated is the group above in whose queue the contact is too, 0 for none.
	Escalated int64      `json:"escalated,omitempty"`
	State     tree.State `json:"state,omitempty"` // of a contact

	// Path and Wall are those of a group at the time: it may be gone when they are looked at.
	Path string `json:"path,omitempty"`
	Wall string `json:"wall,omitempty"`

	// Held counts the contacts of a branch.
	Held tree.Counters `json:"held,omitzero"`
}

// At is the place of a group.
func At(p authz.Place) *Stand { return &Stand{GroupID: p.GroupID, Path: p.Path, Wall: p.Wall} }

func (s *Stand) place() authz.Place {
	return authz.Place{GroupID: s.GroupID, Path: s.Path, Wall: s.Wall}
}

const (
	// Kept is for how long events are kept: who was away for longer has to load anew.
	Kept = 24 * time.Hour
	// sweepEvery is after how many events of an account old ones are removed, and sweepAtOnce how many at most.
	sweepEvery, sweepAtOnce = 128, 1024
	// writtenAtOnce is how many events one statement writes: a statement takes only so many parameters.
	writtenAtOnce = 200
)

// Publish makes the event one of those that the transaction of ctx publishes when it is committed. Several events about the
// same contact become one, from where it stood at first to where it stands in the end.
func Publish(ctx context.Context, e Event) error {
	b, _ := store.AtEnd(ctx, func() store.Ending { return &batch{} }).(*batch)
	if b == nil {
		return errors.New("live: an event is published within a transaction")
	}
	for i := range b.events {
		if have := &b.events[i]; e.Kind == Contact && have.Kind == Contact && have.ContactID == e.ContactID {
			if e.Was == nil || e.Now == nil || *e.Was != *e.Now { // else it was touched where it stands
				have.Now, have.At = e.Now, e.At
			}
			return nil
		}
	}
	if len(b.events) > 0 && b.events[0].AccountID != e.AccountID {
		return errors.New("live: a transaction publishes in one account")
	}
	b.events = append(b.events, e)
	return nil
}

// batch is what a transaction publishes.
type batch struct{ events []Event }

// Finish writes the events. It comes last in the transaction, because it lets no other one of the account go on.
func (b *batch) Finish(ctx context.Context, tx *ent.Tx) error {
	if len(b.events) == 0 {
		return nil
	}
	account := b.events[0].AccountID
	last, err := take(ctx, tx, account, len(b.events))
	if err != nil {
		return err
	}
	changed := map[int64]int64{} // conversations by their contacts
	for i := range b.events {
		b.events[i].sequence = last - int64(len(b.events)-1-i)
		if e := &b.events[i]; e.Kind == Conversation {
			changed[e.ContactID] = e.ConversationID
		}
	}
	for i := range b.events {
		if e := &b.events[i]; e.Kind == Contact {
			e.ConversationID = changed[e.ContactID]
		}
	}
	for from := 0; from < len(b.events); from += writtenAtOnce {
		if err := write(ctx, tx, b.events[from:min(from+writtenAtOnce, len(b.events))]); err != nil {
			return err
		}
	}
	if before := last - int64(len(b.events)); before/sweepEvery != last/sweepEvery {
		return sweep(ctx, tx, account, b.events[0].At.Add(-Kept))
	}
	return nil
}

// take counts n events on and returns the last number. The row is locked from then on.
func take(ctx context.Context, tx *ent.Tx, account int64, n int) (last int64, err error) {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	err = store.EachRow(ctx, tx, `INSERT INTO event_counters (account_id, last, secret) VALUES ($1, $2, $3)
		ON CONFLICT (account_id) DO UPDATE SET last = event_counters.last + excluded.last RETURNING last`,
		[]any{account, n, secret}, func(rows *sql.Rows) error { return rows.Scan(&last) })
	if err != nil {
		return 0, fmt.Errorf("live: taking the next numbers of account %d: %w", account, err)
	}
	return last, nil
}

const columns = "account_id, sequence, at, kind, contact_id, conversation_id, message_id, group_id, user_id, was, now"

func write(ctx context.Context, tx *ent.Tx, events []Event) error {
	var query strings.Builder
	query.WriteString("INSERT INTO events (" + columns + ") VALUES ")
	var args []any
	for i, e := range events {
		was, err := stored(e.Was)
		if err != nil {
			return err
		}
		now, err := stored(e.Now)
		if err != nil {
			return err
		}
		if i > 0 {
			query.WriteString(", ")
		}
		values := []any{e.AccountID, e.sequence, e.At, string(e.Kind), e.ContactID, e.ConversationID, e.MessageID, e.GroupID, e.UserID, was, now}
		for j := range values {
			query.WriteString([]string{"(", ", "}[min(j, 1)] + "$" + strconv.Itoa(len(args)+j+1))
		}
		query.WriteString(")")
		args = append(args, values...)
	}
	if _, err := tx.ExecContext(ctx, query.String(), args...); err != nil {
		return fmt.Errorf("live: writing events: %w", err)
	}
	return nil
}

// stored is a stand as the table keeps it, nil for none.
func stored(s *Stand) (any, error) {
	if s == nil {
		return nil, nil
	}
	raw, err := json.Marshal(s)
	return string(raw), err
}

// sweep removes some of the events before the first that is not older than the moment. Moments are not quite in the order of
// the numbers, and what is kept has no hole.
func sweep(ctx context.Context, tx *ent.Tx, account int64, before time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM events WHERE account_id = $1 AND sequence IN (
		SELECT sequence FROM events WHERE account_id = $1 AND sequence < (
			SELECT sequence FROM events WHERE account_id = $1 AND at >= $2 ORDER BY sequence LIMIT 1) ORDER BY sequence LIMIT $3)`, account, before, sweepAtOnce)
	if err != nil {
		return fmt.Errorf("live: removing old events of account %d: %w", account, err)
	}
	return nil
}

// read returns up to limit events that follow a number, in their order.
func read(ctx context.Context, db *store.DB, account, after int64, limit int) ([]Event, error) {
	var events []Event
	err := store.EachRow(ctx, db.Keyed, "SELECT "+columns+" FROM events WHERE account_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3",
		[]any{account, after, limit}, func(rows *sql.Rows) error {
			var e Event
			var was, now sql.NullString
			err := rows.Scan(&e.AccountID, &e.sequence, &e.At, &e.Kind, &e.ContactID, &e.ConversationID, &e.MessageID, &e.GroupID, &e.UserID, &was, &now)
			if err != nil {
				return err
			}
			if e.Was, err = restored(was); err != nil {
				return err
			}
			e.Now, err = restored(now)
			events = append(events, e)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("live: reading the events of account %d: %w", account, err)
	}
	return events, nil
}

func restored(raw sql.NullString) (*Stand, error) {
	if !raw.Valid {
		return nil, nil
	}
	s := &Stand{}
	return s, json.Unmarshal([]byte(raw.String), s)
}
