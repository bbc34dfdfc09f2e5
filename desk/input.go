package desk

import (
	"context"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"canopy/authz"
	"canopy/internal/fold"
	"canopy/refusal"
)

// The limits of what people and integrations hand in, in characters.
const (
	maxName       = 100
	maxNameKey    = 400 // folding can make a name longer; what it is cut to still finds it
	maxEmail      = 254
	maxSubject    = 200
	maxText       = 4096
	maxReason     = 1000
	maxChannel    = 40
	maxAddress    = 254
	maxExternalID = 200
	maxSearch     = 100
	maxTagName    = 50
	maxCloseNote  = 200
)

// length is how long a text is for people.
func length(s string) int { return utf8.RuneCountInString(s) }

// writable says that both databases can store the text: PostgreSQL has no NUL.
func writable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// plain says that the text is one line without control characters.
func plain(s string) bool { return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) }

// checkName returns a name as it is stored.
func checkName(field, s string) (string, error) {
	name := fold.Name(s)
	// What folds to nothing has no letter that is seen.
	if fold.Key(name) == "" || length(name) > maxName || !plain(name) {
		return "", refusal.BadInput(field, "A name has 1 to %d characters on one line.", maxName)
	}
	return name, nil
}

// nameKey is what a name is found by.
func nameKey(name string) string {
	key := []rune(fold.Key(name))
	return string(key[:min(len(key), maxNameKey)])
}

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// checkPhone returns a phone number as E.164.
func checkPhone(field, s string) (string, error) {
	if number := squeezePhone(s); e164.MatchString(number) {
		return number, nil
	}
	return "", refusal.BadInput(field, "A phone number is written with its country code: +55 11 91234-5678.")
}

// squeezePhone takes out what people put between digits.
func squeezePhone(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune("().", r) {
			return -1
		}
		return r
	}, s)
}

// checkEmail returns an e-mail address without white space around it.
func checkEmail(field, s string) (string, error) {
	s = strings.TrimSpace(s)
	if a, err := mail.ParseAddress(s); err == nil && a.Address == s && length(s) <= maxEmail && plain(s) {
		return s, nil
	}
	return "", refusal.BadInput(field, "This is not an e-mail address. One looks like ana@example.com.")
}

// checkSubject returns a subject as it is stored; it may be empty.
func checkSubject(field, s string) (string, error) {
	subject := fold.Name(s)
	if length(subject) > maxSubject || !plain(subject) {
		return "", refusal.BadInput(field, "A subject has at most %d characters on one line.", maxSubject)
	}
	return subject, nil
}

// checkText refuses a message that says nothing or too much. It is stored as it was written.
func checkText(field, s string) error { return checkSaid("message", field, s) }

func checkSaid(what, field, s string) error {
	if length(s) > maxText || strings.TrimSpace(s) == "" || !writable(s) {
		return refusal.BadInput(field, "A %s has 1 to %d characters, none of them NUL.", what, maxText)
	}
	return nil
}

// checkReason refuses a reason that is too long, and its absence where the account wants one.
func (j *job) checkReason(ctx context.Context, reason string) error {
	const field = "input.reason"
	if length(reason) > maxReason || !writable(reason) {
		return refusal.BadInput(field, "A reason has at most %d characters, none of them NUL.", maxReason)
	}
	if strings.TrimSpace(reason) != "" {
		return nil
	}
	a, err := j.tx.Account.Get(authz.Trusted(ctx), j.viewer.AccountID)
	if err != nil || !a.ReasonRequired {
		return err
	}
	return &refusal.Refusal{Code: refusal.BadUserInput, Reason: refusal.ReasonRequired, Field: field,
		Message: "This account wants a reason for every such change. Say why."}
}

// because adds the reason that was given, if there is one.
func (h how) because(reason string) how {
	h.reason = strings.TrimSpace(reason)
	return h
}
