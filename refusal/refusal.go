// Package refusal is the vocabulary in which Canopy says no: one error type with the code, the reason, the
// offending field and the missing permission that a client needs to act on it.
//
// Every package may return a refusal; graph alone turns it into a GraphQL error. Whatever is not a refusal is an
// internal error and is never shown. The package knows nothing about GraphQL, HTTP or the database.
package refusal

import (
	"errors"
	"fmt"
)

// Code is the class of a refusal, `extensions.code` of the GraphQL error.
type Code string

// The codes, in the order in which they win when several apply to one request.
const (
	Unauthenticated Code = "UNAUTHENTICATED"
	NotFoundCode    Code = "NOT_FOUND"
	ForbiddenCode   Code = "FORBIDDEN"
	BadUserInput    Code = "BAD_USER_INPUT"
	ConflictCode    Code = "CONFLICT"
	RateLimited     Code = "RATE_LIMITED"
	UnavailableCode Code = "UNAVAILABLE"
)

// Reason is the finer word of a refusal, `extensions.reason`: a client may switch on it.
type Reason string

// The reasons of the domain.
const (
	AccessPaused       Reason = "ACCESS_PAUSED"
	AddressTaken       Reason = "ADDRESS_TAKEN"
	AlreadyAssigned    Reason = "ALREADY_ASSIGNED"
	AlreadyCovered     Reason = "ALREADY_COVERED"
	AlreadyDeactivated Reason = "ALREADY_DEACTIVATED"
	AlreadyDecided     Reason = "ALREADY_DECIDED"
	AlreadyGranted     Reason = "ALREADY_GRANTED"
	AlreadyImported    Reason = "ALREADY_IMPORTED"
	AlreadyOpen        Reason = "ALREADY_OPEN"
	AlreadyRevoked     Reason = "ALREADY_REVOKED"
	BuiltInRole        Reason = "BUILT_IN_ROLE"
	ChangeMade         Reason = "CHANGE_MADE"
	CustomRolesOff     Reason = "CUSTOM_ROLES_OFF"
	EmailTaken         Reason = "EMAIL_TAKEN"
	GainsAccess        Reason = "GAINS_ACCESS"
	GroupCycle         Reason = "GROUP_CYCLE"
	GroupNotEmpty      Reason = "GROUP_NOT_EMPTY"
	GroupTooDeep       Reason = "GROUP_TOO_DEEP"
	LastOwner          Reason = "LAST_OWNER"
	MayNotGive         Reason = "MAY_NOT_GIVE"
	MoveUnderWay       Reason = "MOVE_UNDER_WAY"
	NameTaken          Reason = "NAME_TAKEN"
	NotActive          Reason = "NOT_ACTIVE"
	NotCovered         Reason = "NOT_COVERED"
	NotDeactivated     Reason = "NOT_DEACTIVATED"
	NotOpen            Reason = "NOT_OPEN"
	NotServing         Reason = "NOT_SERVING"
	OutcomeUnknown     Reason = "OUTCOME_UNKNOWN"
	OwnAccess          Reason = "OWN_ACCESS"
	PlanLimit          Reason = "PLAN_LIMIT"
	PreviewOutdated    Reason = "PREVIEW_OUTDATED"
	PreviewTooBig      Reason = "PREVIEW_TOO_BIG"
	PrimaryOwner       Reason = "PRIMARY_OWNER"
	Rank               Reason = "RANK"
	ReasonRequired     Reason = "REASON_REQUIRED"
	RoleInUse          Reason = "ROLE_IN_USE"
	RootGroup          Reason = "ROOT_GROUP"
	SlowReaderReason   Reason = "SLOW_READER"
	TagLimit           Reason = "TAG_LIMIT"
	Waiting            Reason = "WAITING"
	WiderThanAuthor    Reason = "WIDER_THAN_AUTHOR"
)

// Refusal is a request that was understood and is not granted. Its message is a sentence that is safe to show to
// the person who asked: it names what is wrong and what to do, and never anything that they may not see.
type Refusal struct {
	Code    Code
	Reason  Reason
	Field   string // path of the offending input, e.g. "input.name"; empty when no single input is at fault
	Message string

	// What every FORBIDDEN says besides, and nothing else does: the permission that is missing or that the limit is
	// about, in a few words where it is needed ("at this group"), and in one sentence what to do about it.
	Permission string
	Where      string
	Remedy     string
}

func (r *Refusal) Error() string { return r.Message }

// Is makes errors.Is compare what a refusal means: code and reason, not its wording.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Code == r.Code && t.Reason == r.Reason
}

// At returns a copy of the refusal that blames the given input field.
func (r *Refusal) At(field string) *Refusal {
	c := *r
	c.Field = field
	return &c
}

// Blame returns err as a refusal that blames the given input field, and an error that is no refusal as it is.
func Blame(err error, field string) error {
	var r *Refusal
	if errors.As(err, &r) {
		return r.At(field)
	}
	return err
}

// NoViewer refuses a request that carries no valid login.
func NoViewer() *Refusal {
	return &Refusal{Code: Unauthenticated, Message: "You are not logged in. Log in and send the session with the request."}
}

// Paused refuses everything to a user whose access is paused.
func Paused() *Refusal {
	return &Refusal{Code: Unauthenticated, Reason: AccessPaused,
		Message: "Your access is paused. Ask your supervisor to resume it."}
}

// SlowReader ends a stream whose subscriber does not read what is sent.
func SlowReader() *Refusal {
	return &Refusal{Code: RateLimited, Reason: SlowReaderReason,
		Message: "More has happened than was read, and the stream has ended. Subscribe again with the last position as since, and read faster."}
}

// NotFound says that there is no such thing, or that the viewer may not see it: the two are one answer. What is the
// kind of thing in plain words ("group", "contact").
func NotFound(what string) *Refusal {
	return &Refusal{Code: NotFoundCode, Message: fmt.Sprintf("There is no such %s, or you may not see it.", what)}
}

// Forbidden says that the viewer sees the thing but lacks a permission at it.
func Forbidden(permission fmt.Stringer, where string) *Refusal {
	return Limit("", permission, where, fmt.Sprintf("You need the permission %s %s.", permission, where),
		"Ask somebody who may assign roles to grant you a role that has it there.")
}

// Limit says that the viewer has the permission but something besides stands in the way: a limit on giving access, which
// the reason names, or one of the permission itself, which has no reason. The problem and the remedy are a sentence
// each.
func Limit(reason Reason, permission fmt.Stringer, where, problem, remedy string) *Refusal {
	return &Refusal{Code: ForbiddenCode, Reason: reason, Message: problem + " " + remedy,
		Permission: permission.String(), Where: where, Remedy: remedy}
}

// BadInput says that an input cannot be accepted whatever the state of the data; the message names the problem and
// the remedy.
func BadInput(field, format string, args ...any) *Refusal {
	return &Refusal{Code: BadUserInput, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Conflict says that the state of the data stands in the way.
func Conflict(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Code: ConflictCode, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Unanswered says that the change was made, and that only what the answer was to tell of it is away.
func Unanswered() *Refusal {
	return &Refusal{Code: UnavailableCode, Reason: ChangeMade,
		Message: "The change was made, but this part of the answer cannot be loaded right now. Do not repeat the change; ask again for what you want to know."}
}

// Unavailable says that what Canopy needs to answer is away, and that the same request may be answered a moment later.
// What was asked for was not done.
func Unavailable() *Refusal {
	return &Refusal{Code: UnavailableCode, Message: "The server cannot do this right now. Try again in a moment."}
}

// MaybeDone says that a change was on its way to be stored when the connection broke off, so that nobody knows whether
// it was. Whoever sends it again without looking may do it twice.
func MaybeDone() *Refusal {
	return &Refusal{Code: UnavailableCode, Reason: OutcomeUnknown, Message: "The connection broke off while the change was being stored: " +
		"it may have been made or not. Look whether it was before you try again."}
}
