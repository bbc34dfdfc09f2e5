// Package doctor examines a database: whether what is stored agrees with itself. It names what does not, says what mends
// it, and changes nothing.
//
// It is an outside opinion. Package tree checks the structure under the tree and doctor asks it; the rest, what
// directory and desk keep true in their transactions and the database by its constraints, is judged here anew, by
// statements that share nothing with the code that they judge. Each finding is one statement, so that it sees one moment
// and can run beside a working server. The command canopy doctor prints what is found.
package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/account"
	"canopy/ent/generated/groupmove"
	"canopy/relay"
	"canopy/store"
	"canopy/tree"
)

// Kind is what is wrong. The kinds of package tree are among them.
type Kind string

// The kinds of faults that package tree does not know.
const (
	Storage         Kind = "damaged storage"          // the database itself finds pages or indexes damaged
	WrongSchema     Kind = "wrong schema"             // tables, columns, indexes or constraints are not those of the migrations
	Dangling        Kind = "dangling reference"       // a row refers to one that is not there, or not in its account
	Roots           Kind = "not one root"             // an account has no root group, or several
	SameName        Kind = "same name"                // siblings have the same name
	WrongKey        Kind = "wrong key"                // what a name or an address is found by does not follow from it
	ManyAssignments Kind = "several assignments"      // of one contact are current
	Overlapping     Kind = "overlapping assignments"  // of one contact: a period began before the one before it had ended
	WrongPeriod     Kind = "wrong period"             // an assignment or a conversation ended before it began
	WrongAgent      Kind = "wrong agent"              // of a contact: not the one of its current assignment
	WrongWaiting    Kind = "wrong waiting"            // a contact is served and waits, or neither
	ManyOpen        Kind = "several conversations"    // of one contact are open
	WrongServer     Kind = "wrong conversation agent" // of an open conversation: not the one of the contact's current assignment
	LeftBehind      Kind = "left behind"              // an open conversation is with somebody who has left
	WrongSnooze     Kind = "wrong snoozing"           // a conversation is put aside that is closed or waits
	WrongClosing    Kind = "wrong closing"            // an open conversation says why it was closed
	WrongOffer      Kind = "wrong offer"              // a contact is on offer that does not wait, or to nobody of the account
	WrongEscalation Kind = "wrong escalation"         // a contact is escalated that does not wait, or not to the parent of its group
	ManyCovers      Kind = "several covers"           // of one user are current
	WrongCover      Kind = "wrong cover"              // somebody covers for themselves
	NoTimer         Kind = "no timer"                 // an offer, a snoozed conversation or a cover would never end
	WrongTimer      Kind = "wrong timer"              // a timer is of a kind that nothing handles
	WrongStay       Kind = "wrong stay"               // of a conversation: reports see it elsewhere than it is
	WrongEvents     Kind = "wrong events"             // their numbers have a hole, or the account will give one twice
	WrongNumber     Kind = "wrong number"             // the account's next conversation number is taken
	NoOwner         Kind = "no owner"                 // nobody counts as an owner of the account
	WrongPrimary    Kind = "wrong primary owner"      // the primary owner does not count as an owner
	WrongRole       Kind = "wrong role"               // a built-in role is missing, or a role holds what is none
)

// MaxFaults is how many faults of a kind are reported at most, for each account.
const MaxFaults = tree.MaxFaults

// Fault is one place where what is stored does not agree with itself.
type Fault struct {
	Kind    Kind
	Account string     // the slug; empty when it is of no account, or of none that exists
	Of      relay.Kind // of the thing; 0 when it is none that clients see
	Number  int64      // of the thing
	Detail  string     // what is, and what should be
}

// String describes the fault in a line.
func (f Fault) String() string {
	parts := []string{string(f.Kind), f.Detail}
	if f.Of != 0 {
		parts = []string{string(f.Kind), name(f.Of, f.Number), f.Detail}
	}
	if f.Account != "" {
		parts = append([]string{f.Account}, parts...)
	}
	return strings.Join(parts, ": ")
}

var words = map[relay.Kind]string{
	relay.KindAccount: "account", relay.KindGroup: "group", relay.KindUser: "user", relay.KindRole: "role",
	relay.KindRoleGrant: "grant", relay.KindSession: "session", relay.KindContact: "contact",
	relay.KindContactAssignment: "assignment", relay.KindConversation: "conversation", relay.KindMessage: "message",
	relay.KindAuditEvent: "audit event", relay.KindGroupRequest: "group request",
	relay.KindGroupMove: "move of a group", relay.KindHistoryEntry: "history entry", relay.KindCover: "cover",
	relay.KindNote: "note", relay.KindTag: "tag",
}

// name is how a line names a thing: as clients and as the database know it.
func name(of relay.Kind, number int64) string {
	return fmt.Sprintf("%s %s (%d)", words[of], relay.NewID(of, number), number)
}

// Rebuildable says whether canopy rebuild mends faults of the kind.
func (k Kind) Rebuildable() bool {
	switch tree.FaultKind(k) {
	case tree.WrongPlace, tree.WrongBox, tree.ScopeMissing, tree.ScopeSurplus, tree.ScopeStray, tree.WrongCount:
		return true
	}
	return false
}

// Advice says what to do about faults of the kind.
func (k Kind) Advice() string {
	if k.Rebuildable() {
		return "canopy rebuild mends it"
	}
	if advice, ok := advices[k]; ok {
		return advice
	}
	return "needs a person: find out which of the two is right, and change the other in the database"
}

var advices = map[Kind]string{
	Storage:                "needs a person: restore a backup, or let the database rebuild its indexes (REINDEX)",
	WrongSchema:            "needs a person: somebody changed the tables by hand; execute what the line says",
	Dangling:               "needs a person: restore what is gone, or change or delete the row that refers to it",
	Kind(tree.Unreachable): "needs a person: give one group of the circle its right parent (groups.parent_id), then canopy rebuild",
	Kind(tree.TooDeep):     "needs a person: give a group above it another parent (groups.parent_id), then canopy rebuild",
	Roots:                  "needs a person: give all but one of the groups without a parent one (groups.parent_id), then canopy rebuild",
	SameName:               "needs a person: rename all but one of them",
	WrongKey:               "needs a person: rename it to something else and back",
	WrongOffer:             "needs a person: empty offered_to_id, offer_ends_at, asked and passed_on_from_id of the contact",
	WrongEscalation:        "needs a person: set contacts.escalated_to_id to the parent of the contact's group or, when it does not wait, to NULL",
	ManyCovers:             "needs a person: set covers.ended_at of all but one of them",
	WrongCover:             "needs a person: set covers.ended_at, if it has not ended, and delete the row when no history names it",
	NoTimer:                "needs a person: insert the timer (timers: kind, subject_id, account_id, and due_at in microseconds since 1970)",
	WrongTimer:             "needs a person: start the version of canopy that handles the kind, or delete the rows (timers)",
	WrongStay:              "needs a person: set stays.ended_at of what lasts wrongly, and insert a stay that lasts where the contact is",
	WrongEvents:            "needs a person: set event_counters.last to the highest number of the account, or delete its events before the hole",
	WrongNumber:            "needs a person: set accounts.next_conversation_number above the highest number",
	NoOwner:                "needs a person: give an active user the role OWNER without an end (role_grants)",
	WrongPrimary:           "needs a person: set accounts.primary_owner_id to one of the owners",
	WrongRole:              "needs a person: insert the built-in role that is missing; delete a role that is none, or write its pairs anew",
}

// Patient is the database to examine.
type Patient struct {
	DB  *store.DB
	Now time.Time // by which it is judged what is in force
}

// Examine calls report for each fault, in the whole database or, when a slug is given, in one account. It returns the
// number of accounts that it looked at, and an error when it could not look everywhere.
func (p Patient) Examine(ctx context.Context, slug string, report func(Fault)) (accounts int, err error) {
	ctx = authz.Trusted(ctx) // it judges rows, for an operator, and shows none
	query := p.DB.Read.Account.Query().Order(account.ByID()).Select(account.FieldSlug)
	if slug != "" {
		query.Where(account.Slug(slug))
	}
	list, err := query.All(ctx)
	if err != nil {
		return 0, fmt.Errorf("doctor: listing the accounts: %w", err)
	}
	if slug != "" && len(list) == 0 {
		return 0, fmt.Errorf("there is no account with the slug %q", slug)
	}
	e := examination{c: p.DB.Read, db: p.DB, now: p.Now, report: report, slugs: map[int64]string{}}
	for _, a := range list {
		e.slugs[a.ID] = a.Slug
	}
	if slug == "" {
		err = e.database(ctx)
	} else {
		err = e.references(ctx, list[0].ID)
	}
	for i := 0; i < len(list) && err == nil; i++ {
		err = e.account(ctx, list[i].ID)
	}
	if err != nil {
		return 0, fmt.Errorf("doctor: %w", err)
	}
	return len(list), nil
}

// Moves returns the moves of big branches that are still being carried, in the whole database or in one account, with
// their accounts. They are no faults: lists know of them.
func (p Patient) Moves(ctx context.Context, slug string) ([]*ent.GroupMove, error) {
	query := p.DB.Read.GroupMove.Query().Where(groupmove.FinishedAtIsNil()).WithAccount().Order(groupmove.ByID())
	if slug != "" {
		query.Where(groupmove.HasAccountWith(account.Slug(slug)))
	}
	list, err := query.All(authz.Trusted(ctx))
	if err != nil {
		return nil, fmt.Errorf("doctor: listing the moves under way: %w", err)
	}
	return list, nil
}

// examination is one under way.
type examination struct {
	c      *ent.Client
	db     *store.DB
	now    time.Time
	report func(Fault)
	slugs  map[int64]string // by account
}

// database examines what belongs to no account, or to all.
func (e *examination) database(ctx context.Context) error {
	for _, examine := range []func(context.Context) error{e.storage, e.schema, e.stray} {
		if err := examine(ctx); err != nil {
			return err
		}
	}
	return e.references(ctx, 0)
}

// account examines one account.
func (e *examination) account(ctx context.Context, id int64) error {
	if err := e.structure(ctx, id); err != nil {
		return err
	}
	for _, f := range findings {
		if err := e.find(ctx, id, f); err != nil {
			return err
		}
	}
	for _, examine := range []func(context.Context, int64) error{e.keys, e.owners, e.roles} {
		if err := examine(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// structure is what package tree finds.
func (e *examination) structure(ctx context.Context, accountID int64) error {
	faults, err := tree.Check(ctx, e.c, accountID)
	for _, f := range faults {
		e.treeFault(accountID, f)
	}
	return err
}

func (e *examination) stray(ctx context.Context) error {
	faults, err := tree.CheckStray(ctx, e.c)
	for _, f := range faults {
		e.treeFault(0, f)
	}
	return err
}

func (e *examination) treeFault(accountID int64, f tree.Fault) {
	fault := Fault{Kind: Kind(f.Kind), Account: e.slugs[accountID], Detail: f.Detail}
	switch {
	case f.ContactID != 0:
		fault.Of, fault.Number = relay.KindContact, f.ContactID
	case f.GroupID != 0:
		fault.Of, fault.Number = relay.KindGroup, f.GroupID
	}
	e.report(fault)
}
