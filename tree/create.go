package tree

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// ReserveGroupIDs returns n ids for groups that the transaction is about to create, in ascending order. A path ends with
// the id of its group, so whoever knows the ids beforehand can write any number of groups by one statement.
func ReserveGroupIDs(ctx context.Context, c Conn, n int) ([]int64, error) {
	ids := make([]int64, 0, n)
	query := "SELECT nextval(pg_get_serial_sequence('groups', 'id')) FROM generate_series(1, $1)"
	if !isPostgres(c) {
		// A transaction that writes is alone, and the insert carries the sequence on.
		query = `WITH RECURSIVE next(id, left) AS (
			SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'groups'), 0) + 1, $1
			UNION ALL SELECT id + 1, left - 1 FROM next WHERE left > 1) SELECT id FROM next`
	}
	err := collect(ctx, c, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, query, n)
	if err != nil {
		return nil, fmt.Errorf("reserving ids of groups: %w", err)
	}
	if len(ids) > 0 && ids[len(ids)-1] > MaxID {
		return nil, fmt.Errorf("group %d has no label", ids[len(ids)-1])
	}
	return ids, nil
}

// CreateAll inserts groups of one account and one moment, with reserved ids and with their counters, by a number of
// statements that does not depend on how many there are. A parent may be among them, if it comes before its children.
// The caller holds the account's lock, shared or not. The errors are those of Create.
func CreateAll(ctx context.Context, c Conn, groups []NewGroup, maxDepth int) error {
	if len(groups) == 0 {
		return nil
	}
	nodes, err := loadParents(ctx, c, groups)
	if err != nil {
		return err
	}
	rows, ids, change := make([][]any, len(groups)), make([]int64, len(groups)), tally{}
	for i, g := range groups {
		n := node{id: g.ID, account: g.AccountID, restricted: g.Restricted, path: Label(g.ID)}
		if g.ParentID != nil {
			parent := nodes[*g.ParentID]
			if parent.depth+1 > maxDepth {
				return ErrTooDeep
			}
			n.parent, n.path, n.wall, n.depth = parent.id, parent.path+n.path, parent.wall, parent.depth+1
		}
		visibility := "INHERITED"
		if n.restricted {
			n.wall, visibility = n.path, "RESTRICTED"
		}
		nodes[n.id], ids[i] = n, n.id
		rows[i] = []any{n.id, n.account, g.ParentID, g.Name, g.NameKey, n.path, n.depth, n.wall, visibility}
		change.add(+1, n.above(), Counters{Descendants: 1, Restricted: toInt(n.restricted)})
		change.add(+1, []int64{n.parent}, Counters{Children: 1})
	}
	if err := insertGroups(ctx, c, rows, groups[0].Now); err != nil {
		return err
	}
	if _, err := exec(ctx, c, "INSERT INTO group_counters (group_id) SELECT n.id FROM "+idsOf(c, "$1")+" AS n", jsonOf(ids)); err != nil {
		return fmt.Errorf("creating counters of groups: %w", err)
	}
	return change.apply(ctx, c)
}

// loadParents reads those parents that are not among the groups themselves.
func loadParents(ctx context.Context, c Conn, groups []NewGroup) (map[int64]node, error) {
	coming, wanted := map[int64]bool{}, map[int64]bool{}
	ids := []int64{}
	for _, g := range groups {
		if p := g.ParentID; p != nil && !coming[*p] && !wanted[*p] {
			wanted[*p] = true
			ids = append(ids, *p)
		}
		coming[g.ID] = true
	}
	return loadIn(ctx, c, groups[0].AccountID, ids...)
}

func insertGroups(ctx context.Context, c Conn, rows [][]any, at time.Time) error {
	columns := "value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8, $1 FROM json_each($2)"
	if isPostgres(c) {
		columns = `CAST(v->>0 AS BIGINT), CAST(v->>1 AS BIGINT), CAST(v->>2 AS BIGINT), v->>3, v->>4, v->>5, CAST(v->>6 AS BIGINT), v->>7, v->>8,
			CAST($1 AS TIMESTAMPTZ) FROM jsonb_array_elements(CAST($2 AS TEXT)::jsonb) AS v`
	}
	_, err := exec(ctx, c, `INSERT INTO groups
		(id, account_id, parent_id, name, name_key, path, depth, wall, visibility, created_at) SELECT `+columns,
		at.UTC().Truncate(time.Microsecond), jsonOf(rows))
	if err != nil {
		return fmt.Errorf("creating groups: %w", err)
	}
	return nil
}

// Child names a child of a group by fold.Key of its name.
type Child struct {
	ParentID int64
	NameKey  string
}

// Spot is where a group stands.
type Spot struct {
	ID         int64
	Path, Wall string
	Depth      int
}

// FindChildren returns those of the children that are there, by one statement.
func FindChildren(ctx context.Context, c Conn, accountID int64, children []Child) (map[Child]Spot, error) {
	rows := make([][]any, len(children))
	for i, child := range children {
		rows[i] = []any{child.ParentID, child.NameKey}
	}
	query := `SELECT w.parent, w.name_key, g.id, g.path, g.wall, g.depth
		FROM (SELECT value->>0 AS parent, value->>1 AS name_key FROM json_each($1)) AS w
		CROSS JOIN groups AS g WHERE g.account_id = $2 AND g.parent_id = w.parent AND g.name_key = w.name_key`
	if isPostgres(c) {
		// The limit keeps PostgreSQL from reading all groups of the account for one join with them.
		query = `SELECT w.parent, w.name_key, g.id, g.path, g.wall, g.depth
			FROM (SELECT CAST(v->>0 AS BIGINT) AS parent, v->>1 AS name_key FROM jsonb_array_elements(CAST($1 AS TEXT)::jsonb) AS v) AS w
			CROSS JOIN LATERAL (SELECT id, path, wall, depth FROM groups
				WHERE account_id = $2 AND parent_id = w.parent AND name_key = w.name_key LIMIT 1) AS g`
	}
	found := make(map[Child]Spot, len(children))
	err := collect(ctx, c, func(rows *sql.Rows) error {
		var child Child
		var s Spot
		err := rows.Scan(&child.ParentID, &child.NameKey, &s.ID, &s.Path, &s.Wall, &s.Depth)
		found[child] = s
		return err
	}, query, jsonOf(rows), accountID)
	if err != nil {
		return nil, fmt.Errorf("looking for groups by name: %w", err)
	}
	return found, nil
}
