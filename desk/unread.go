package desk

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"time"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/ent/generated/message"
	"canopy/ent/generated/readmark"
	"canopy/refusal"
	"canopy/store"

	"entgo.io/ent/dialect/sql"
)

// Unread is a matter of one viewer and an open conversation: what others said after the viewer's mark, and the whole
// conversation while the viewer has none, unless they opened it. Marks are nobody else's business, so they are not
// recorded and told to nobody else; whoever never sets one has none, and those of a conversation go when it is closed.

// MarkRead names the conversation of which everything said so far has been read.
type MarkRead struct{ ConversationID int64 }

// MarkUnread names the conversation of which the last thing that somebody else said shall be unread again.
type MarkUnread struct{ ConversationID int64 }

// Unread is how much of a conversation is new to the viewer.
type Unread struct {
	Conversation bool // whether there is anything, the conversation itself included
	Messages     int  // at most MaxCount
}

// MarkRead sets the viewer's mark behind the last message. It needs sight of the conversation and nothing else. With a
// conversation that is closed it does nothing.
func (s *Service) MarkRead(ctx context.Context, in MarkRead) (*ent.Conversation, error) {
	return s.setMark(ctx, in.ConversationID, func(ctx context.Context, j *job, c *ent.Conversation) (bool, error) {
		last, err := j.lastMessage(ctx, c)
		if err != nil {
			return false, err
		}
		if last == nil {
			return j.mark(ctx, c, c.OpenedAt, 0)
		}
		return j.mark(ctx, c, last.SentAt, last.ID)
	})
}

// MarkUnread sets the viewer's mark before the last message that is not their own; without such a message they have no
// mark afterwards. It needs sight of the conversation and nothing else. With a conversation that is closed it does
// nothing.
func (s *Service) MarkUnread(ctx context.Context, in MarkUnread) (*ent.Conversation, error) {
	return s.setMark(ctx, in.ConversationID, func(ctx context.Context, j *job, c *ent.Conversation) (bool, error) {
		last, err := j.lastMessage(ctx, c, message.Or(message.AuthorIDIsNil(), message.AuthorIDNEQ(j.viewer.UserID)))
		if err != nil {
			return false, err
		}
		if last == nil {
			n, err := j.tx.ReadMark.Delete().Where(readmark.ConversationID(c.ID), readmark.UserID(j.viewer.UserID)).Exec(ctx)
			return n > 0, err
		}
		return j.mark(ctx, c, last.SentAt, last.ID-1)
	})
}

// setMark sets a mark by a function that says whether it is another one afterwards. The contact is held, so that what is
// told of the mark is true of where the contact stands.
func (s *Service) setMark(ctx context.Context, id int64, set func(context.Context, *job, *ent.Conversation) (bool, error)) (*ent.Conversation, error) {
	var marked *ent.Conversation
	err := s.write(ctx, func(ctx context.Context, j *job) error {
		h, c, err := j.holdConversation(ctx, id)
		if err != nil {
			return err
		}
		marked = c
		if c.ClosedAt != nil {
			return nil
		}
		if changed, err := set(ctx, j, c); err != nil || !changed {
			return err
		}
		return j.publishMark(ctx, h, c)
	})
	return marked, err
}

// lastMessage is the last one of those, nil for none.
func (j *job) lastMessage(ctx context.Context, c *ent.Conversation, of ...func(*sql.Selector)) (*ent.Message, error) {
	q := j.tx.Message.Query().Where(message.ConversationID(c.ID))
	for _, p := range of {
		q.Where(p)
	}
	last, err := q.Order(message.BySentAt(sql.OrderDesc()), message.ByID(sql.OrderDesc())).First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return last, err
}

// mark sets the viewer's mark, and says whether it stood elsewhere; else nothing is written.
func (j *job) mark(ctx context.Context, c *ent.Conversation, sentAt time.Time, messageID int64) (changed bool, err error) {
	present, err := j.tx.ReadMark.Query().Where(readmark.ConversationID(c.ID), readmark.UserID(j.viewer.UserID)).Only(ctx)
	switch {
	case ent.IsNotFound(err):
		return true, j.tx.ReadMark.Create().SetAccountID(c.AccountID).SetConversationID(c.ID).SetUserID(j.viewer.UserID).
			SetSentAt(sentAt).SetMessageID(messageID).Exec(ctx)
	case err != nil || present.MessageID == messageID && present.SentAt.Equal(sentAt):
		return false, err
	}
	return true, j.tx.ReadMark.Update().Where(readmark.ID(present.ID)).SetSentAt(sentAt).SetMessageID(messageID).Exec(ctx)
}

// unmark deletes everybody's marks of a conversation that is closed.
func (j *job) unmark(ctx context.Context, conversationID int64) error {
	if _, err := j.tx.ReadMark.Delete().Where(readmark.ConversationID(conversationID)).Exec(authz.Trusted(ctx)); err != nil {
		return fmt.Errorf("desk: deleting the marks of conversation %d: %w", conversationID, err)
	}
	return nil
}

// Unread says, by one statement, how much of each of the conversations, which the viewer sees, is new to them. Closed
// ones are left out.
func (s *Service) Unread(ctx context.Context, conversations []int64) (map[int64]Unread, error) {
	v := authz.FromContext(ctx)
	if v == nil {
		return nil, refusal.NoViewer()
	}
	b := builder(s.DB.Dialect())
	b.WriteString("SELECT v.id, ")
	unread(v.UserID)(b)
	b.WriteString(", (SELECT COUNT(*) FROM (")
	unreadMessages(v.UserID)(b)
	write(b, " LIMIT ?) AS counted) FROM conversations AS v", MaxCount)
	joinMark(b, v.UserID)
	b.WriteString(" WHERE v.closed_at IS NULL AND v.account_id = ").Arg(v.AccountID).WriteString(" AND v.id IN ")
	numbersIn(b, conversations)
	query, args := b.Query()
	found := make(map[int64]Unread, len(conversations))
	err := store.EachRow(ctx, s.DB.Keyed, query, args, func(rows *stdsql.Rows) error {
		var id int64
		var u Unread
		err := rows.Scan(&id, &u.Conversation, &u.Messages)
		found[id] = u
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("desk: counting what is unread: %w", err)
	}
	return found, nil
}

// joinMark joins the user's mark r to the conversation v.
func joinMark(b *sql.Builder, userID int64) {
	write(b, " LEFT JOIN read_marks AS r ON r.conversation_id = v.id AND r.user_id = ?", userID)
}

// unread is the condition that there is anything new in the open conversation v, with the user's mark r.
func unread(userID int64) func(*sql.Builder) {
	return func(b *sql.Builder) {
		write(b, "(r.id IS NULL AND (v.opened_by_id IS NULL OR v.opened_by_id <> ?) OR EXISTS (", userID)
		unreadMessages(userID)(b)
		b.WriteString("))")
	}
}

// unreadMessages selects what others said in the conversation v after the user's mark r.
func unreadMessages(userID int64) func(*sql.Builder) {
	return func(b *sql.Builder) {
		write(b, "SELECT 1 FROM messages AS m WHERE m.conversation_id = v.id"+
			" AND (m.sent_at, m.id) > (COALESCE(r.sent_at, v.opened_at), COALESCE(r.message_id, 0)) AND (m.author_id IS NULL OR m.author_id <> ?)", userID)
	}
}

// numbersIn writes the numbers as a list, by one parameter.
func numbersIn(b *sql.Builder, numbers []int64) {
	write(b, "("+numbersOf(b.Dialect(), "?")+")", jsonOf(numbers))
}
