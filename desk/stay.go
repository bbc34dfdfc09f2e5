package desk

import (
	"context"
	stdsql "database/sql"
	"fmt"

	"canopy/authz"
	ent "canopy/ent/generated"
	"canopy/store"
	"canopy/tree"
)

// A stay is a period during which a conversation stood in one group, waiting or with one agent. Stays follow each other
// without a gap from the opening of a conversation to its closing, and nothing that happens later changes them, but that
// a group that is deleted leaves its own to its successor: reports are made of nothing else.

// forever is the end of a stay that lasts. It is written out in statements, for the sake of partial indexes.
const forever = "9223372036854775807"

// How a stay begins.
const (
	movedOn  = iota // on from the stay before, in the same conversation
	wrote           // the contact wrote, and the conversation began
	opened          // a user opened the conversation
	passedOn        // the conversation before was closed by passing the contact on, and this one continues it
)

// How a stay ends.
const (
	goesOn     = iota // in the next stay of the same conversation, or it lasts
	wasClosed         // with its conversation
	isPassedOn        // with its conversation, which the next one continues
)

// stay is the part of the stay before that the next one goes on from.
type stay struct {
	conversation int64
	begunAt      int64 // when the conversation was opened, or the first of those that were passed on to it
	unanswered   bool  // the contact has written and had no answer
}

// stayAt notes that the conversation of the contact stands elsewhere, or with somebody else, from now on. Where nothing
// of that changes it does nothing.
func (j *job) stayAt(ctx context.Context, h *held, to stand) error {
	was := h.stand()
	if was.state != tree.Open && to.state != tree.Open {
		return nil
	}
	if !h.arriving && was.state == to.state && was.agent == to.agent && was.group == to.group {
		return nil
	}
	var open *ent.Conversation
	if to.state == tree.Open {
		var err error
		if open, err = j.openOf(authz.Trusted(ctx), h); err != nil {
			return err
		}
	}
	before, err := j.endStay(ctx, h, open)
	if err != nil || open == nil {
		return err
	}
	return j.beginStay(ctx, h, to, open, before)
}

// endStay ends the stay that lasts, if there is one, and returns it. The conversation is the one that is open now, nil
// for none.
func (j *job) endStay(ctx context.Context, h *held, open *ent.Conversation) (*stay, error) {
	ending, next := wasClosed, int64(0)
	if open != nil {
		ending, next = isPassedOn, open.ID
	}
	var before *stay
	err := store.EachRow(ctx, j.tx, `UPDATE stays SET ended_at = $1, ending = CASE WHEN conversation_id = $2 THEN 0 ELSE $3 END
		WHERE contact_id = $4 AND ended_at = `+forever+` RETURNING conversation_id, begun_at, unanswered AND answered_at IS NULL`,
		[]any{j.now.UnixMicro(), next, ending, h.ID}, func(rows *stdsql.Rows) error {
			before = &stay{}
			return rows.Scan(&before.conversation, &before.begunAt, &before.unanswered)
		})
	if err != nil {
		return nil, fmt.Errorf("desk: ending the stay of contact %d: %w", h.ID, err)
	}
	return before, nil
}

func (j *job) beginStay(ctx context.Context, h *held, to stand, open *ent.Conversation, before *stay) error {
	entered := wrote
	switch {
	case before != nil && before.conversation == open.ID:
		entered = movedOn
	case before != nil:
		entered = passedOn
	default:
		if open.OpenedByID != nil {
			entered = opened
		}
		before = &stay{begunAt: open.OpenedAt.UnixMicro(), unanswered: open.OpenedByID == nil}
	}
	var agent *int64
	if to.agent != 0 {
		agent = &to.agent
	}
	_, err := j.tx.ExecContext(ctx, `INSERT INTO stays
		(account_id, contact_id, conversation_id, group_id, agent_id, started_at, entered, begun_at, unanswered)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		h.AccountID, h.ID, open.ID, to.group, agent, j.now.UnixMicro(), entered, before.begunAt, before.unanswered)
	if err != nil {
		return fmt.Errorf("desk: beginning a stay of contact %d: %w", h.ID, err)
	}
	return nil
}

// answered notes that the contact, if it has written, has its first answer.
func (j *job) answered(ctx context.Context, h *held) error {
	_, err := j.tx.ExecContext(ctx, `UPDATE stays SET answered_at = $1
		WHERE contact_id = $2 AND ended_at = `+forever+` AND unanswered AND answered_at IS NULL`, j.now.UnixMicro(), h.ID)
	if err != nil {
		return fmt.Errorf("desk: noting an answer to contact %d: %w", h.ID, err)
	}
	return nil
}
