package tree

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A branch with many contacts is moved in two parts. Move puts all of its groups at their new place, and what permissions
// reach follows at once. The scope rows of its contacts, many for each, are carried by Carry in batches that leave room
// for others. Until that is done there are rows in the lists of the groups above the old place that should be gone, and
// rows missing in the lists of those above the new place; the lists themselves know it by the table detours:
//
//   - a list that the branch is entering is read together with the list of the branch's own top group, which is whole;
//   - from a list that it is leaving, what stands in the list of the top group too is left out;
//   - a contact of the branch that changes is carried by that change.
//
// Nothing above, at or below the top group can be moved, walled or dissolved meanwhile, nor a group whose list the
// branch is leaving: so these lists stay the same, and the list of a top group is always whole and has nothing that
// should be gone.

// ErrUnderWay says that a branch is still being carried to the place that it was moved to.
var ErrUnderWay = errors.New("the branch is still being carried to its new place")

// BatchRows is how many scope rows one batch rewrites, about: a transaction of some hundredths of a second.
const BatchRows = 4000

// beyond is a box above all boxes: carrying begins at the latest row of the last box.
const beyond = Box(6)

// detour is what of the groups above the top of a branch is not yet as it should be.
type detour struct{ leaving, entering []int64 }

func (d detour) size() int { return len(d.leaving) + len(d.entering) }

// scan adds a row of detours: scope_id and entering.
func (d *detour) scan(rows *sql.Rows) error {
	var scope int64
	var entering bool
	err := rows.Scan(&scope, &entering)
	if entering {
		d.entering = append(d.entering, scope)
	} else {
		d.leaving = append(d.leaving, scope)
	}
	return err
}

// begin records that the branch of n is to be carried, and returns the number of the move.
func (d detour) begin(ctx context.Context, c Conn, n node, now time.Time) (moveID int64, err error) {
	err = one(ctx, c, []any{&moveID}, `INSERT INTO group_moves
		(account_id, group_id, total, last_box, last_sort_key, last_contact_id, started_at)
		VALUES ($1, $2, (SELECT COUNT(*) FROM scopes WHERE scope_id = $2), $3, 0, 0, $4) RETURNING id`,
		n.account, n.id, int(beyond), now.UTC().Truncate(time.Microsecond))
	if err != nil {
		return 0, fmt.Errorf("recording the move of group %d: %w", n.id, err)
	}
	for entering, scopes := range map[bool][]int64{false: d.leaving, true: d.entering} {
		if len(scopes) == 0 {
			continue
		}
		_, err := exec(ctx, c, `INSERT INTO detours (scope_id, move_id, account_id, group_id, entering)
			SELECT s.id, CAST($1 AS BIGINT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS BOOLEAN) FROM `+idsOf(c, "$5")+` AS s`,
			moveID, n.account, n.id, entering, jsonOf(scopes))
		if err != nil {
			return 0, fmt.Errorf("recording the detours of group %d: %w", n.id, err)
		}
	}
	return moveID, nil
}

// settled returns ErrUnderWay when a branch is being carried that holds the group, that the group's own branch holds, or
// that is leaving the group's list. The caller holds the account's exclusive lock.
func settled(ctx context.Context, c Conn, n node) error {
	inTheWay := false
	err := collect(ctx, c, func(rows *sql.Rows) error {
		var top string
		var leaving bool
		err := rows.Scan(&top, &leaving)
		inTheWay = inTheWay || leaving || Under(top, n.path) || Under(n.path, top)
		return err
	}, `SELECT g.path, EXISTS (SELECT 1 FROM detours AS d WHERE d.account_id = $1 AND d.scope_id = $2 AND d.move_id = m.id)
		FROM group_moves AS m JOIN groups AS g ON g.id = m.group_id
		WHERE m.account_id = $1 AND m.finished_at IS NULL`, n.account, n.id)
	if err != nil {
		return fmt.Errorf("looking for moves under way in account %d: %w", n.account, err)
	}
	if inTheWay {
		return ErrUnderWay
	}
	return nil
}

// detourOf returns the detours of the group's contacts. It is for contacts that loadContact found to be of an account
// in which something is under way.
func detourOf(ctx context.Context, c Conn, group node) (d detour, err error) {
	err = collect(ctx, c, d.scan, `SELECT d.scope_id, d.entering FROM detours AS d JOIN groups AS top ON top.id = d.group_id
		WHERE d.account_id = $1 AND substr($2, 1, length(top.path)) = top.path`, group.account, group.path)
	if err != nil {
		return detour{}, fmt.Errorf("loading the detours of group %d: %w", group.id, err)
	}
	return d, nil
}

// carried is a move of which a part is carried.
type carried struct {
	id, account, group int64
	top                node
	detour             detour
}

// Carry carries the next batch of a move, of about so many scope rows, BatchRows but for tests, and says whether there may
// be more to carry. It says no when nothing is left, and when somebody else is carrying that move right now.
func Carry(ctx context.Context, c Conn, moveID int64, rows int, now time.Time) (more bool, err error) {
	m, last, err := lockMove(ctx, c, moveID)
	if err != nil || m == nil {
		return false, err
	}
	limit := max(1, rows/max(1, m.detour.size()))
	picked, next, err := m.pick(ctx, c, last, limit)
	if err != nil {
		return false, err
	}
	if err := m.carry(ctx, c, picked); err != nil {
		return false, err
	}
	if len(picked) < limit {
		return false, m.finish(ctx, c, len(picked), now)
	}
	_, err = exec(ctx, c, `UPDATE group_moves SET carried = carried + $1, last_box = $2, last_sort_key = $3, last_contact_id = $4
		WHERE id = $5`, len(picked), int(next.Box), next.SortKey, next.id, m.id)
	if err != nil {
		return false, fmt.Errorf("noting how far move %d is: %w", m.id, err)
	}
	return true, nil
}

// lockMove returns nil when the move is finished, or locked by somebody else.
func lockMove(ctx context.Context, c Conn, moveID int64) (m *carried, last contact, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		m = &carried{id: moveID}
		return rows.Scan(&m.account, &m.group, &last.Box, &last.SortKey, &last.id)
	}, `SELECT account_id, group_id, last_box, last_sort_key, last_contact_id FROM group_moves
		WHERE id = $1 AND finished_at IS NULL`+locking(c, "FOR UPDATE SKIP LOCKED"), moveID)
	if err != nil {
		return nil, last, fmt.Errorf("loading move %d: %w", moveID, err)
	}
	if m == nil {
		return nil, last, nil
	}
	nodes, err := loadIn(ctx, c, m.account, m.group)
	if err != nil {
		return nil, last, err
	}
	m.top = nodes[m.group]
	err = collect(ctx, c, m.detour.scan, "SELECT scope_id, entering FROM detours WHERE move_id = $1", moveID)
	if err != nil {
		return nil, last, fmt.Errorf("loading the detours of move %d: %w", moveID, err)
	}
	return m, last, nil
}

// pick returns the contacts that follow in the list of the top group, from its end, and where the last of them stands.
// Latest first, because that is where most lists begin.
func (m *carried) pick(ctx context.Context, c Conn, last contact, limit int) (ids []int64, next contact, err error) {
	next = last
	err = collect(ctx, c, func(rows *sql.Rows) error {
		err := rows.Scan(&next.Box, &next.SortKey, &next.id)
		ids = append(ids, next.id)
		return err
	}, `SELECT box, sort_key, contact_id FROM scopes WHERE scope_id = $1 AND (box, sort_key, contact_id) < ($2, $3, $4)
		ORDER BY box DESC, sort_key DESC, contact_id DESC LIMIT $5`, m.group, int(last.Box), last.SortKey, last.id, limit)
	if err != nil {
		return nil, next, fmt.Errorf("picking contacts of move %d: %w", m.id, err)
	}
	slices.Sort(ids)
	return ids, next, nil
}

// carry puts right in which lists the contacts stand. By their rows, once those are locked, it is known which of them
// still are in the branch and what their keys are; whatever has changed about one has carried it already.
func (m *carried) carry(ctx context.Context, c Conn, contactIDs []int64) error {
	if len(contactIDs) == 0 {
		return nil
	}
	if isPostgres(c) {
		if _, err := exec(ctx, c, "SELECT 1 FROM contacts WHERE id IN "+idsOf(c, "$1")+" ORDER BY id FOR UPDATE", jsonOf(contactIDs)); err != nil {
			return fmt.Errorf("locking contacts of move %d: %w", m.id, err)
		}
	}
	rows := `SELECT s.id, k.box, k.sort_key, k.id
		FROM ` + idsOf(c, "$1") + ` AS picked CROSS JOIN contacts AS k CROSS JOIN groups AS g CROSS JOIN ` + idsOf(c, "$2") + ` AS s
		WHERE k.id = picked.id AND g.id = k.group_id AND g.path >= $3 AND g.path < $4 AND g.wall = $5`
	from, to := Range(m.top.path)
	for _, step := range []struct {
		scopes    []int64
		statement string
	}{
		{m.detour.leaving, "DELETE FROM scopes WHERE (scope_id, box, sort_key, contact_id) IN (" + rows + ")"},
		{m.detour.entering, "INSERT INTO scopes (scope_id, box, sort_key, contact_id) " + rows + " ON CONFLICT DO NOTHING"},
	} {
		if len(step.scopes) == 0 {
			continue
		}
		if _, err := exec(ctx, c, step.statement, jsonOf(contactIDs), jsonOf(step.scopes), from, to, m.top.wall); err != nil {
			return fmt.Errorf("carrying contacts of move %d: %w", m.id, err)
		}
	}
	return nil
}

func (m *carried) finish(ctx context.Context, c Conn, n int, now time.Time) error {
	if _, err := exec(ctx, c, "UPDATE group_moves SET carried = carried + $1, finished_at = $2 WHERE id = $3",
		n, now.UTC().Truncate(time.Microsecond), m.id); err != nil {
		return fmt.Errorf("finishing move %d: %w", m.id, err)
	}
	if _, err := exec(ctx, c, "DELETE FROM detours WHERE move_id = $1", m.id); err != nil {
		return fmt.Errorf("ending the detours of move %d: %w", m.id, err)
	}
	return nil
}
