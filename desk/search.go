package desk

import (
	"context"
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
// is full. How long it takes is for those alone to say.
func (s *Service) matches(ctx context.Context, text string) func(*sql.Builder) {
	key := fold.Key(text)
	if key == "" {
		return nil
	}
	unmasked, heard := s.reached(rule.ContactsReached(ctx, authz.CustomerDataView)), s.reached(rule.ContactsHeard(ctx))
	number, words := numbered(authz.FromContext(ctx).AccountID, key), said(key)
	return func(b *sql.Builder) {
		write(b, `(c.name_key LIKE ? ESCAPE '\'`, like(key))
		where(b, unmasked, addressed(key))
		where(b, heard, number)
		where(b, heard, words)
		b.WriteString(")")
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
		write(b, lower+` LIKE ? ESCAPE '\'`, like(key))
		if number := squeezePhone(key); isDigits(number) {
			write(b, ` OR c.phone LIKE ? ESCAPE '\'`, like(number))
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

// like is the pattern of what contains the text literally.
func like(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
}

// isDigits says that the text can be part of a phone number as it is stored.
func isDigits(text string) bool {
	digits := strings.TrimPrefix(text, "+")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}
