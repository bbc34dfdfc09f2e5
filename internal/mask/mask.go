// Package mask shortens the phone numbers and e-mail addresses of customers to what may be shown to somebody who
// may not see them, and to what the audit trail keeps.
package mask

import (
	"strings"
	"unicode/utf8"
)

// Hidden stands for whatever was taken out, always of the same length.
const Hidden = "••••"

// Phone keeps the country code and the last four digits of an E.164 number: "+55 •••• 1234". Of a number so short
// that this would be most of it, only the country code stays.
func Phone(number string) string {
	digits := strings.TrimPrefix(number, "+")
	code := countryCode(digits)
	if len(digits) < len(code)+8 {
		return "+" + code + " " + Hidden
	}
	return "+" + code + " " + Hidden + " " + digits[len(digits)-4:]
}

// countryCode returns the one to three digits with which an E.164 number names its country.
func countryCode(digits string) string {
	if len(digits) < 3 {
		return ""
	}
	switch digits[0] {
	case '1', '7':
		return digits[:1]
	}
	const twoDigits = " 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66" +
		" 81 82 84 86 90 91 92 93 94 95 98 "
	if strings.Contains(twoDigits, " "+digits[:2]+" ") {
		return digits[:2]
	}
	return digits[:3]
}

// Email keeps the first letter of the mailbox, and the domain: "a•••@example.com". Of what is no address nothing stays.
func Email(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "•••"
	}
	_, size := utf8.DecodeRuneInString(address[:at])
	return address[:size] + "•••" + address[at:]
}
