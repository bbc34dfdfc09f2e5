package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	ent "canopy/ent/generated"
	"canopy/ent/generated/message"
	"canopy/internal/fold"
	"canopy/timers"

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
	return m, j.storeWords(ctx, map[int64]string{h.ID: m.Text})
}

// storeWords keeps the words of what was said with contacts, in the order of their ids, in which contacts are locked.
func (j *job) storeWords(ctx context.Context, texts map[int64]string) error {
	type said struct {
		Contact int64  `json:"c"`
		Word    string `json:"w"`
	}
	list := []said{}
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		for _, word := range words(texts[id]) {
			list = append(list, said{id, word})
		}
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	from := "SELECT value->>'c', value->>'w' FROM json_each($1) WHERE TRUE"
	if j.tx.Dialect() == dialect.Postgres {
		from = "SELECT c, w FROM jsonb_to_recordset(CAST($1 AS TEXT)::jsonb) AS said(c BIGINT, w TEXT)"
	}
	if _, err := j.tx.ExecContext(ctx, "INSERT INTO contact_words (contact_id, word) "+from+" ON CONFLICT DO NOTHING", string(raw)); err != nil {
		return fmt.Errorf("desk: storing the words of messages: %w", err)
	}
	return nil
}

// notedAtOnce is how many messages one transaction notes that were sent before words were.
const notedAtOnce = 1000

// noteWords notes the words of a message and of those before it in the account, the newest first, a part at a time.
func noteWords(ctx context.Context, j *job, last int64) error {
	list, err := j.tx.Message.Query().Where(message.AccountID(j.viewer.AccountID), message.IDLTE(last)).
		Order(message.ByID(sql.OrderDesc())).Limit(notedAtOnce).WithConversation().All(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	texts := map[int64]string{}
	for _, m := range list {
		texts[m.Edges.Conversation.ContactID] += " " + m.Text
	}
	if next := list[len(list)-1].ID - 1; len(list) == notedAtOnce {
		j.schedule(timers.NoteWords, next, j.now)
	}
	return j.storeWords(ctx, texts)
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
