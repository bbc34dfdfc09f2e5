// Package fold makes names comparable: Name is how a name is stored and shown, Key is the value of the name_key and
// email_key columns, by which the database finds two names equal. It refuses nothing; how long a name may be and what
// it may contain is for the use-cases to say.
package fold

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Name returns s as people mean it: in NFC, without white space around it, and with one space for each run of white
// space within; bytes that are not UTF-8, which PostgreSQL refuses, become U+FFFD. Name(Name(s)) equals Name(s).
func Name(s string) string { return squeeze(norm.NFC.String(valid(s))) }

// Key returns what s is compared by: its compatibility form (NFKC) with full case folding, without characters that
// are not seen (zero-width spaces and joiners, direction marks), its white space and its invalid bytes treated as by
// Name. Key(Name(s)) and Key(Key(s)) equal Key(s). A key can be longer than its name: up to
// 11 times its bytes.
func Key(s string) string {
	s = strings.Map(seen, valid(s))
	fold := cases.Fold()
	// Folding can undo the normal form and the normal form can bring up letters that fold, so each runs twice, as
	// Unicode defines NFKC_Casefold.
	for range 2 {
		s = norm.NFKC.String(fold.String(norm.NFKC.String(s)))
	}
	return squeeze(strings.Map(seen, s))
}

// seen drops the characters that Unicode calls format characters: two names that differ by them look the same.
func seen(r rune) rune {
	if unicode.Is(unicode.Cf, r) {
		return -1
	}
	return r
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
