package tree

import (
	"context"
	"database/sql"
	"strings"
)

// miscount is a group whose counters are not what they should be.
type miscount struct {
	groupID int64
	stored  []sql.NullInt64 // in the order of counterColumns; without a value when there is no row
	total   Counters        // as it should be
}

func (m miscount) wrong() bool {
	for i, field := range m.total.fields() {
		if !m.stored[i].Valid || m.stored[i].Int64 != *field {
			return true
		}
	}
	return false
}

// counted is what one row of countedGroups says.
type counted struct {
	miscount   // the total so far: of the group alone, and of what has come below it
	depth      int
	restricted bool
}

// countedGroups reads the groups in the order of their paths, so that what is below a group follows it, with what each
// holds itself and what is stored as its total.
func countedGroups() string {
	return `SELECT g.id, g.depth, g.visibility = 'RESTRICTED', COALESCE(u.users, 0),
			COALESCE(k.contacts, 0), COALESCE(k.open, 0), COALESCE(k.waiting, 0), COALESCE(k.closed, 0),
			n.` + strings.Join(counterColumns, ", n.") + `
		FROM groups AS g
		LEFT JOIN group_counters AS n ON n.group_id = g.id
		LEFT JOIN (
			SELECT home_group_id, COUNT(*) AS users FROM users
			WHERE account_id = $1 AND status <> 'DELETED' GROUP BY home_group_id
		) AS u ON u.home_group_id = g.id
		LEFT JOIN (
			SELECT group_id, COUNT(*) AS contacts,
				SUM(CASE WHEN box / 2 = 1 THEN 1 ELSE 0 END) AS open,
				SUM(CASE WHEN box % 2 = 0 THEN 1 ELSE 0 END) AS waiting,
				SUM(CASE WHEN box / 2 = 2 THEN 1 ELSE 0 END) AS closed
			FROM contacts WHERE account_id = $1 GROUP BY group_id
		) AS k ON k.group_id = g.id
		WHERE g.account_id = $1 ORDER BY g.path`
}

// eachMiscount counts everything in the account anew and calls found for each group whose counters say something else.
// It takes the places of the groups and the boxes of the contacts as they are stored, and keeps one branch in memory.
func eachMiscount(ctx context.Context, c Conn, accountID int64, found func(miscount)) error {
	var branch []counted // from the root to the group that was read last
	finish := func(depth int) {
		for len(branch) > depth {
			last := len(branch) - 1
			done := branch[last]
			branch = branch[:last]
			if last > 0 {
				branch[last-1].gain(done)
			}
			if done.wrong() {
				found(done.miscount)
			}
		}
	}
	err := collect(ctx, c, func(rows *sql.Rows) error {
		g := counted{miscount: miscount{stored: make([]sql.NullInt64, len(counterColumns))}}
		n := &g.total
		dest := []any{&g.groupID, &g.depth, &g.restricted, &n.Users, &n.Contacts, &n.Open, &n.Waiting, &n.Closed}
		for i := range g.stored {
			dest = append(dest, &g.stored[i])
		}
		err := rows.Scan(dest...)
		finish(g.depth)
		branch = append(branch, g)
		return err
	}, countedGroups(), accountID)
	if err != nil {
		return err
	}
	finish(0)
	return nil
}

// gain adds what a child has, all of it counted.
func (g *counted) gain(child counted) {
	for i, field := range g.total.fields() {
		*field += *child.total.fields()[i]
	}
	g.total.Children += 1 - child.total.Children
	g.total.Descendants++
	g.total.Restricted += toInt(child.restricted)
}

// setCounters writes counters that were counted anew.
func setCounters(ctx context.Context, c Conn, wrong []miscount) (int64, error) {
	rows := make([][]int64, len(wrong))
	for i, m := range wrong {
		rows[i] = []int64{m.groupID}
		for _, field := range m.total.fields() {
			rows[i] = append(rows[i], *field)
		}
	}
	sets := make([]string, len(counterColumns))
	for i, name := range counterColumns {
		sets[i] = name + " = excluded." + name
	}
	columns := strings.Join(counterColumns, ", ")
	return exec(ctx, c, "INSERT INTO group_counters (group_id, "+columns+") SELECT id, "+columns+" FROM "+counterRows(c)+
		" AS d WHERE TRUE ON CONFLICT (group_id) DO UPDATE SET "+strings.Join(sets, ", "), jsonOf(rows))
}
