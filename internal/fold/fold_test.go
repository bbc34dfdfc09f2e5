package fold

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestKeyFindsNamesEqual(t *testing.T) {
	for _, names := range [][]string{
		{"Support", "SUPPORT", "  support\t", "Ｓｕｐｐｏｒｔ"},
		{"Straße", "STRASSE", "STRAẞE"},
		{"São Paulo", "SA\u0303O  PAULO", "são\u00a0paulo"},
		{"Σίσυφος", "ΣΊΣΥΦΟΣ"},
		{"ﬁnance", "FINANCE"},
		{"Nº 1", "no 1"},
		{"ᾳ", "ᾼ", "αι"},
		{"", " ", "\u3000", "\u200b"},
		{"Online", "On\u200bline", "\u2060online", "\ufeffOnline", "on\u00adline"},
	} {
		for _, name := range names[1:] {
			if Key(name) != Key(names[0]) {
				t.Errorf("Key(%q) = %q, Key(%q) = %q; want them equal", name, Key(name), names[0], Key(names[0]))
			}
		}
	}
}

func TestKeyTellsNamesApart(t *testing.T) {
	for _, pair := range [][2]string{{"Sao", "São"}, {"a b", "ab"}, {"a-b", "a b"}, {"o", "0"}} {
		if Key(pair[0]) == Key(pair[1]) {
			t.Errorf("Key finds %q and %q equal", pair[0], pair[1])
		}
	}
}

func TestName(t *testing.T) {
	for in, want := range map[string]string{
		"  Field   Sales \n": "Field Sales",
		"Sa\u0303o":          "São",
		"McDonald":           "McDonald",
		"Ａ":                  "Ａ",
		"\u00a0":             "",
	} {
		if got := Name(in); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Support", "Straße", "ͅ", "ᾳ̈", "\u1e9e\u0345", "\ufdfa", "İi̇ıI", "a\u2028 b", "\xff", "\xf1ϔ "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, key := Name(s), Key(s)
		if Name(name) != name {
			t.Errorf("Name(%q) = %q, Name of that = %q", s, name, Name(name))
		}
		if Key(name) != key || Key(key) != key {
			t.Errorf("Key(%q) = %q, of its name %q, of its key %q", s, key, Key(name), Key(key))
		}
		if strings.TrimSpace(key) != key || !utf8.ValidString(key) || !utf8.ValidString(name) {
			t.Errorf("Key(%q) = %q", s, key)
		}
		if len(key) > 11*len(s) {
			t.Errorf("Key(%q) has %d bytes, more than 11 times %d", s, len(key), len(s))
		}
	})
}
