package desk

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"canopy/authz"
	"canopy/ent/rule"
	"canopy/internal/fold"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// matches is the condition that a contact has the text in its name; or, as far as CUSTOMER_DATA_VIEW reaches, in its phone
// number or e-mail address; or, where the viewer sees its conversations, as the number of one or as words that were said
// in them: a search must not tell what is masked or hidden. It is nil for a text that says nothing.
//
// A search looks at what the list reads anyway: the contacts that the viewer reaches, one after the other until the page
// is full. How long it takes is for those alone to say: an index of words or of parts of names would find faster what there
// is, and tell by its speed how much of that is hidden.
func (s *Service) matches(ctx context.Context, text string) func(*sql.Builder) {
	key := fold.Key(text)
	if key == "" {
		return nil
	}
	unmasked, heard := s.reached(rule.ContactsReached(ctx, authz.CustomerDataView)), s.reached(rule.ContactsHeard(ctx))
	address, talk := addressed(key), anyWay(numbered(authz.FromContext(ctx).AccountID, key), said(key))
	return func(b *sql.Builder) {
		b.WriteByte('(')
		contains(b, "c.name_key", key)
		if alike(unmasked, heard) { // as most viewers have it: the rule is looked up once
			where(b, heard, anyWay(address, talk))
		} else {
			where(b, unmasked, address)
			where(b, heard, talk)
		}
		b.WriteByte(')')
	}
}

// alike says that two rules are the same, word by word.
func alike(a, b *sql.Predicate) bool {
	if a == nil || b == nil {
		return false
	}
	textA, argsA := a.Query()
	textB, argsB := b.Query()
	return textA == textB && slices.Equal(argsA, argsB)
}

// anyWay is the condition that one of those is true; a way that is nil finds nothing.
func anyWay(ways ...func(*sql.Builder)) func(*sql.Builder) {
	ways = slices.DeleteFunc(ways, func(way func(*sql.Builder)) bool { return way == nil })
	if len(ways) == 0 {
		return nil
	}
	return func(b *sql.Builder) {
		for i, way := range ways {
			if i > 0 {
				b.WriteString(" OR ")
			}
			way(b)
		}
	}
}

// reached is a rule on contacts AS c.
func (s *Service) reached(of rule.Predicate) *sql.Predicate {
	contacts := sql.Dialect(s.DB.Dialect()).Select().From(sql.Table("contacts").As("c"))
	of(contacts)
	return contacts.P()
}

// where adds one more way to match, for contacts that the rule lets pass; a way that is nil finds nothing.
func where(b *sql.Builder, rule *sql.Predicate, way func(*sql.Builder)) {
	if way == nil || rule == nil {
		return
	}
	b.WriteString(" OR (").Join(rule).WriteString(" AND (")
	way(b)
	b.WriteString("))")
}

// addressed is the condition that the phone number or the e-mail address has the text in it.
func addressed(key string) func(*sql.Builder) {
	return func(b *sql.Builder) {
		lower := "LOWER(c.email)"
		if b.Dialect() == dialect.Postgres {
			// Of ASCII letters only, as on SQLite; by the rules of the database's own language it would find more.
			lower = `LOWER(c.email COLLATE "C")`
		}
		contains(b, lower, key)
		if number := squeezePhone(key); isDigits(number) {
			b.WriteString(" OR ")
			contains(b, "c.phone", number)
		}
	}
}

// numbered is the condition that a conversation of the contact has the number that the text is, with or without # before
// it; nil for a text that is none.
func numbered(accountID int64, key string) func(*sql.Builder) {
	digits := strings.TrimPrefix(key, "#")
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number < 1 || strings.HasPrefix(digits, "+") {
		return nil
	}
	return func(b *sql.Builder) {
		write(b, "c.id = (SELECT n.contact_id FROM conversations AS n WHERE n.account_id = ? AND n.number = ?)", accountID, number)
	}
}

// contains is the condition that the text is somewhere in the column.
func contains(b *sql.Builder, column, text string) {
	function := "INSTR"
	if b.Dialect() == dialect.Postgres {
		function = "STRPOS"
	}
	write(b, function+"("+column+", ?) > 0", text)
}

// isDigits says that the text can be part of a phone number as it is stored.
func isDigits(text string) bool {
	digits := strings.TrimPrefix(text, "+")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}
