package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"canopy/desk"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/conversation"
	"canopy/ent/generated/group"
	"canopy/generate"
	"canopy/internal/fold"
	"canopy/tree"
)

// The figures of writing. Each thing is one transaction with the same durability on both sides.
func writes() []figure {
	return []figure{
		{name: "create a leaf", layer: "tree", sqlite: 2.0, postgres: 2.0, begin: createLeaf},
		{name: "message, hot", layer: "tree", sqlite: 3.0, postgres: 3.0, begin: hotMessage},
		{name: "receive a message", layer: "desk", begin: receiveMessage},
		{name: "move 1 group, and back", layer: "tree", sqlite: 4, postgres: 6, begin: move(0)},
		{name: "move 1,000 groups, and back", layer: "tree", sqlite: 8, postgres: 18, begin: move(1000)},
	}
}

// transaction runs fn and commits.
func transaction(ctx context.Context, db *sql.DB, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// execute runs a prepared statement in a transaction.
func execute(ctx context.Context, tx *sql.Tx, prepared *sql.Stmt, args ...any) error {
	s := tx.StmtContext(ctx, prepared)
	defer s.Close()
	_, err := s.ExecContext(ctx, args...)
	return err
}

// createLeaf creates a group with its path, its counters and those above it, against one INSERT of the same row.
func createLeaf(ctx context.Context, d *dataset) (*bench, error) {
	middle, err := d.middle(ctx)
	if err != nil {
		return nil, err
	}
	floor, err := d.plain.PrepareContext(ctx, `INSERT INTO groups (account_id, parent_id, name, name_key, path, depth, wall, visibility, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, '', 'INHERITED', $7)`)
	if err != nil {
		return nil, err
	}
	began := time.Now().UnixNano()
	n := 0
	name := func() string {
		n++
		return fmt.Sprintf("Leaf %d of %d", n, began)
	}
	return &bench{
		real: func() error {
			return d.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
				_, err := d.create(ctx, tx, middle.ID, name())
				return err
			})
		},
		floor: func() error {
			return transaction(ctx, d.plain, func(tx *sql.Tx) error {
				name := name()
				return execute(ctx, tx, floor, d.account.ID, middle.ID, name, fold.Key(name),
					middle.Path+"------", middle.Depth+1, time.Now().UTC())
			})
		},
		end: func() error { return errors.Join(floor.Close(), d.fell(ctx, middle.ID)) },
	}, nil
}

// fell takes the leaves away again: those of the floor, which have no counters, by hand.
func (d *dataset) fell(ctx context.Context, parent int64) error {
	const leaves = "account_id = $1 AND parent_id = $2 AND name LIKE 'Leaf % of %'"
	if _, err := d.plain.ExecContext(ctx, "DELETE FROM groups WHERE "+leaves+
		" AND id NOT IN (SELECT group_id FROM group_counters)", d.account.ID, parent); err != nil {
		return err
	}
	var ids []int64
	err := d.ask(ctx, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, "SELECT id FROM groups WHERE "+leaves, d.account.ID, parent)
	if err != nil {
		return err
	}
	for len(ids) > 0 {
		some := ids[:min(len(ids), 200)]
		ids = ids[len(some):]
		err := d.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
			for _, id := range some {
				if err := tree.Delete(ctx, tx, d.account.ID, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const insertMessage = `INSERT INTO messages (direction, text, sent_at, account_id, conversation_id) VALUES ('INBOUND', 'Hello', $1, $2, $3)`

// hot are contacts in an open conversation, deep in the tree.
func (d *dataset) hot(ctx context.Context, n int) ([]*ent.Conversation, error) {
	ctx, err := d.as(ctx, owner)
	if err != nil {
		return nil, err
	}
	open, err := d.db.Read.Conversation.Query().Where(conversation.ClosedAtIsNil(),
		conversation.HasContactWith(contact.AssignedUserIDNotNil(), contact.HasGroupWith(group.DepthGTE(6)))).
		WithContact().Order(conversation.ByID()).Limit(n).All(ctx)
	if err != nil {
		return nil, err
	}
	if len(open) < n {
		return nil, fmt.Errorf("%d of %d contacts are served deep in the tree", len(open), n)
	}
	return open, nil
}

// hotMessage stores messages of a few contacts in turn and brings each to the top of all lists, against the same with
// plain indexes on the contact: no scope rows.
func hotMessage(ctx context.Context, d *dataset) (*bench, error) {
	const each = 20
	open, err := d.hot(ctx, 2*each)
	if err != nil {
		return nil, err
	}
	ours, theirs := open[:each], open[each:]
	message, err := d.plain.PrepareContext(ctx, insertMessage)
	if err != nil {
		return nil, err
	}
	place, err := d.plain.PrepareContext(ctx, "UPDATE contacts SET sort_key = $1 WHERE account_id = $2 AND id = $3")
	if err != nil {
		return nil, err
	}
	i := 0
	next := func(open []*ent.Conversation) *ent.Conversation {
		i++
		return open[i%each]
	}
	plain := func(v *ent.Conversation, key int64) error {
		return transaction(ctx, d.plain, func(tx *sql.Tx) error {
			if err := execute(ctx, tx, message, time.Now().UTC(), d.account.ID, v.ID); err != nil {
				return err
			}
			return execute(ctx, tx, place, key, d.account.ID, v.ContactID)
		})
	}
	return &bench{
		real: func() error {
			v := next(ours)
			return d.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) error {
				if _, err := tx.ExecContext(ctx, insertMessage, time.Now().UTC(), d.account.ID, v.ID); err != nil {
					return err
				}
				c := v.Edges.Contact
				return tree.UpdateContact(ctx, tx, c.ID, tree.Placement{GroupID: c.GroupID, Box: tree.Box(c.Box), SortKey: time.Now().UnixMicro()})
			})
		},
		floor: func() error { return plain(next(theirs), time.Now().UnixMicro()) },
		end: func() error {
			var errs []error
			for _, v := range theirs { // whose scope rows stand where they stood
				errs = append(errs, plain(v, v.Edges.Contact.SortKey))
			}
			return errors.Join(append(errs, message.Close(), place.Close())...)
		},
	}, nil
}

// receiveMessage is the whole use-case: who wrote, whether it came before, the conversation, the audit event. Its floor
// is that of hotMessage with the audit event.
func receiveMessage(ctx context.Context, d *dataset) (*bench, error) {
	floor, err := hotMessage(ctx, d)
	if err != nil {
		return nil, err
	}
	as, err := d.as(ctx, gateway)
	if err != nil {
		return nil, err
	}
	began := time.Now().UnixNano()
	n := 0
	return &bench{
		real: func() error {
			n++
			address := fmt.Sprintf("hot-%d@generated.example", n%20)
			_, err := d.desk.ReceiveMessage(as, desk.ReceiveMessage{Channel: "email", Address: address, Text: "Hello", ExternalID: fmt.Sprintf("%d-%d", began, n)})
			return err
		},
		floor: floor.floor,
		end:   floor.end,
	}, nil
}

// move moves a branch of so many groups under another parent and back, against rewriting the same columns of the same
// rows.
func move(groups int) func(ctx context.Context, d *dataset) (*bench, error) {
	return func(ctx context.Context, d *dataset) (*bench, error) {
		branch, to, err := d.movable(ctx, groups)
		if err != nil {
			return nil, err
		}
		rewrite, err := d.plain.PrepareContext(ctx, `UPDATE groups SET path = CAST($1 AS TEXT) || substr(path, $2), depth = depth + $3, wall = ''
			WHERE account_id = $4 AND path >= $5 AND path < $6`)
		if err != nil {
			return nil, err
		}
		hang, err := d.plain.PrepareContext(ctx, "UPDATE groups SET parent_id = $1 WHERE account_id = $2 AND id = $3")
		if err != nil {
			return nil, err
		}
		plain := func(parent int64, down int, old, now string) error {
			return transaction(ctx, d.plain, func(tx *sql.Tx) error {
				if err := execute(ctx, tx, hang, parent, d.account.ID, branch.ID); err != nil {
					return err
				}
				from, to := tree.Range(old)
				return execute(ctx, tx, rewrite, now, len(old)+1, down, d.account.ID, from, to)
			})
		}
		moved := to.Path + tree.Label(branch.ID)
		return &bench{
			real: func() error {
				return errors.Join(d.move(ctx, branch.ID, to.ID), d.move(ctx, branch.ID, *branch.ParentID))
			},
			floor: func() error {
				down := to.Depth + 1 - branch.Depth
				return errors.Join(plain(to.ID, down, branch.Path, moved), plain(*branch.ParentID, -down, moved, branch.Path))
			},
			end: func() error { return errors.Join(rewrite.Close(), hang.Close()) },
		}, nil
	}
}

// move moves a branch, and carries what is left to carry to the end.
func (d *dataset) move(ctx context.Context, group, parent int64) error {
	var id int64
	err := d.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
		id, err = tree.Move(ctx, tx, tree.Moving{AccountID: d.account.ID, GroupID: group, ParentID: parent,
			MaxDepth: generate.MaxDepth, AtOnce: tree.AtOnce, Now: time.Now()})
		return err
	})
	for more := id != 0; more && err == nil; {
		err = d.db.Write(ctx, func(ctx context.Context, tx *ent.Tx) (err error) {
			more, err = tree.Carry(ctx, tx, id, tree.BatchRows, time.Now())
			return err
		})
	}
	return err
}

// movable returns a branch with so many groups below it and a group outside of it that is no higher up.
func (d *dataset) movable(ctx context.Context, groups int) (branch, to *ent.Group, err error) {
	if branch, err = d.branchOf(ctx, min(groups, d.groups/3), 2, "none"); err != nil {
		return nil, nil, err
	}
	if to, err = d.branchOf(ctx, 0, branch.Depth-1, branch.Path); err != nil {
		return nil, nil, err
	}
	return branch, to, nil
}
