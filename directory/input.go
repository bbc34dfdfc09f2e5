package directory

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"canopy/internal/fold"
	"canopy/refusal"

	"golang.org/x/text/unicode/norm"
)

// How long inputs may be, in characters.
const (
	maxName        = 100
	maxKey         = 400 // of a name or address as it is compared, which can be longer than the name
	maxEmail       = 254
	maxReason      = 1000
	maxDescription = 1000
	maxPolicyNote  = 4000
)

// checkName returns a name as it is stored, or a refusal of the field.
func checkName(field, given string) (string, error) {
	name := fold.Name(given)
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(given):
		return "", refusal.BadInput(field, "The name is not valid text. Send it as UTF-8.")
	case strings.ContainsFunc(name, isControl):
		return "", refusal.BadInput(field, "The name has control characters. Remove them.")
	case !strings.ContainsFunc(name, isVisible):
		return "", refusal.BadInput(field, "The name is empty. Give 1 to %d characters.", maxName)
	case n > maxName, utf8.RuneCountInString(fold.Key(name)) > maxKey:
		return "", refusal.BadInput(field, "The name is too long. Give 1 to %d characters.", maxName)
	}
	return name, nil
}

// isControl also finds the characters that turn the direction of text, with which one name can be made to look like
// another.
func isControl(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

func isVisible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }

// checkText returns a text of several lines without white space around it, or a refusal of the field.
func checkText(field, what, given string, limit int) (string, error) {
	text := norm.NFC.String(strings.TrimSpace(given))
	switch {
	case !utf8.ValidString(given):
		return "", refusal.BadInput(field, "The %s is not valid text. Send it as UTF-8.", what)
	case strings.ContainsFunc(text, func(r rune) bool { return isControl(r) && !strings.ContainsRune("\n\r\t", r) }):
		return "", refusal.BadInput(field, "The %s has control characters. Remove them.", what)
	case utf8.RuneCountInString(text) > limit:
		return "", refusal.BadInput(field, "The %s is too long. Give at most %d characters.", what, limit)
	}
	return text, nil
}

// checkEmail returns an e-mail address as it is stored, or a refusal of the field.
func checkEmail(field, given string) (string, error) {
	address := norm.NFC.String(strings.TrimSpace(given))
	if utf8.RuneCountInString(address) > maxEmail || utf8.RuneCountInString(fold.Key(address)) > maxKey {
		return "", refusal.BadInput(field, "The e-mail address is too long. Give at most %d characters.", maxEmail)
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || strings.ContainsAny(address, "\"[]") || strings.ContainsFunc(address, isControl) {
		return "", refusal.BadInput(field, "%q is not an e-mail address. Give one like name@example.com.", given)
	}
	return address, nil
}

// reason returns why the change is made, or a refusal when the account wants to know and nothing is said.
func (d *doing) reason(given string) (string, error) {
	reason, err := checkText("input.reason", "reason", given, maxReason)
	if err != nil {
		return "", err
	}
	if reason == "" && d.account.ReasonRequired {
		return "", &refusal.Refusal{Code: refusal.BadUserInput, Reason: refusal.ReasonRequired, Field: "input.reason",
			Message: "Your account wants a reason for this change. Say why."}
	}
	return reason, nil
}

// inRange refuses a number outside of its limits; where -1 means something, it will do too.
func inRange(field string, n, least, most int, orMinusOne string) error {
	switch {
	case n >= least && n <= most, orMinusOne != "" && n == -1:
		return nil
	case orMinusOne != "":
		return refusal.BadInput(field, "%d is out of range. Give %d to %d, or -1 for %s.", n, least, most, orMinusOne)
	}
	return refusal.BadInput(field, "%d is out of range. Give %d to %d.", n, least, most)
}

func nothingToChange() error {
	return refusal.BadInput("input", "Nothing is to be changed. Give at least one new value.")
}
