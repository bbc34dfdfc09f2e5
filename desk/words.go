package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	ent "canopy/ent/generated"
	"canopy/internal/fold"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// Text that was said is found by its words. They are kept for each contact, because who sees one message of a contact
// sees them all; a word that is said again takes no more room.

// maxWord is how much of a word counts, in characters.
const maxWord = 40

// words returns the words of a text, folded, each once and in the order of their bytes: runs of letters, digits and
// what is written over or under them.
func words(text string) []string {
	found := strings.FieldsFunc(fold.Key(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
	for i, word := range found {
		if runes := []rune(word); len(runes) > maxWord {
			found[i] = string(runes[:maxWord])
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// say stores a message of the contact's conversation, with the words by which it is found.
func (j *job) say(ctx context.Context, h *held, create *ent.MessageCreate) (*ent.Message, error) {
	m, err := create.Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("desk: storing a message: %w", err)
	}
	list, err := json.Marshal(words(m.Text))
	if err != nil {
		return nil, err
	}
	query := "INSERT INTO contact_words (contact_id, word) SELECT $1, value FROM json_each($2) WHERE TRUE ON CONFLICT DO NOTHING"
	if j.tx.Dialect() == dialect.Postgres {
		query = `INSERT INTO contact_words (contact_id, word) SELECT CAST($1 AS BIGINT), v
			FROM jsonb_array_elements_text(CAST($2 AS TEXT)::jsonb) AS v ON CONFLICT DO NOTHING`
	}
	if _, err := j.tx.ExecContext(ctx, query, h.ID, string(list)); err != nil {
		return nil, fmt.Errorf("desk: storing the words of a message: %w", err)
	}
	return m, nil
}

// said is the condition that words that begin like all of those of the text were said with a contact; nil for a text
// without words.
func said(text string) func(*sql.Builder) {
	list := words(text)
	if len(list) == 0 {
		return nil
	}
	return func(b *sql.Builder) {
		for i, word := range list {
			if i > 0 {
				b.WriteString(" AND ")
			}
			// What begins with the word lies, byte by byte, between it and it followed by the last character there is.
			write(b, "EXISTS (SELECT 1 FROM contact_words AS w WHERE w.contact_id = c.id AND w.word >= ? AND w.word < ?)",
				word, word+string(unicode.MaxRune))
		}
	}
}
