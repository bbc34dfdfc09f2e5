package desk

import (
	"context"
	"strings"

	"canopy/authz"
	"canopy/ent/rule"
	"canopy/internal/fold"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// matches is the condition that a contact has the text in its name, or, as far as CUSTOMER_DATA_VIEW reaches, in its
// phone number or e-mail address: a search must not tell what masking hides. It is nil for a text that says nothing.
func (s *Service) matches(ctx context.Context, text string) func(*sql.Builder) {
	key := fold.Key(text)
	if key == "" {
		return nil
	}
	contacts := sql.Dialect(s.DB.Dialect()).Select().From(sql.Table("contacts").As("c"))
	rule.ContactsReached(ctx, authz.CustomerDataView)(contacts)
	unmasked := contacts.P()
	lower := "LOWER(c.email)"
	if s.DB.Dialect() == dialect.Postgres {
		// Of ASCII letters only, as on SQLite; by the rules of the database's own language it would find more.
		lower = `LOWER(c.email COLLATE "C")`
	}
	return func(b *sql.Builder) {
		write(b, `(c.name_key LIKE ? ESCAPE '\'`, like(key))
		if unmasked != nil {
			b.WriteString(" OR (")
			b.Join(unmasked)
			write(b, ` AND (`+lower+` LIKE ? ESCAPE '\'`, like(key))
			if number := squeezePhone(key); isDigits(number) {
				write(b, ` OR c.phone LIKE ? ESCAPE '\'`, like(number))
			}
			b.WriteString("))")
		}
		b.WriteString(")")
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
