package tree

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counters are the totals of a group's subtree, the group itself included and walls ignored; they are for those who
// see all of it, or are no secret.
type Counters struct {
	Children    int64 // direct ones
	Descendants int64 // groups below it, at any depth
	Restricted  int64 // RESTRICTED groups below it: 0 means that no wall hides any of these totals from a grant here
	Users       int64 // all but deleted ones
	Contacts    int64
	Open        int64 // contacts with an open conversation
	Waiting     int64 // contacts that nobody serves
	Closed      int64 // contacts with closed conversations only
}

// counterColumns are the columns of group_counters in the order of fields().
var counterColumns = []string{"children", "descendants", "restricted", "users", "contacts", "open", "waiting", "closed"}

func (n *Counters) fields() []*int64 {
	return []*int64{&n.Children, &n.Descendants, &n.Restricted, &n.Users, &n.Contacts, &n.Open, &n.Waiting, &n.Closed}
}

// CountersOf returns the counters of the groups, by one statement. Ids that name no group are left out.
func CountersOf(ctx context.Context, c Conn, ids []int64) (map[int64]Counters, error) {
	found := make(map[int64]Counters, len(ids))
	err := collect(ctx, c, func(rows *sql.Rows) error {
		var id int64
		var n Counters
		dest := []any{&id}
		for _, field := range n.fields() {
			dest = append(dest, field)
		}
		err := rows.Scan(dest...)
		found[id] = n
		return err
	}, "SELECT group_id, "+strings.Join(counterColumns, ", ")+" FROM group_counters WHERE group_id IN "+idsOf(c, "$1"), jsonOf(ids))
	if err != nil {
		return nil, fmt.Errorf("loading counters: %w", err)
	}
	return found, nil
}

// tally gathers what is to be added to counters, by group.
type tally map[int64]Counters

// add adds the change, or takes it away when sign is -1, at each of the groups. Id 0 stands for no group.
func (t tally) add(sign int64, groups []int64, change Counters) {
	for _, id := range groups {
		sum := t[id]
		for i, field := range sum.fields() {
			*field += sign * *change.fields()[i]
		}
		t[id] = sum
	}
}

// apply writes the changes by one statement. It is the last thing that a transaction locks: counters of groups high in
// the tree are everybody's.
func (t tally) apply(ctx context.Context, c Conn) error {
	rows := make([][]int64, 0, len(t))
	for _, id := range slices.Sorted(maps.Keys(t)) {
		change := t[id]
		if id == 0 || change == (Counters{}) {
			continue
		}
		row := []int64{id}
		for _, field := range change.fields() {
			row = append(row, *field)
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil
	}
	changed, err := exec(ctx, c, addCounters(c), jsonOf(rows))
	if err != nil {
		return fmt.Errorf("changing counters: %w", err)
	}
	if changed != int64(len(rows)) {
		return fmt.Errorf("changing counters: %d of %d groups have a row", changed, len(rows))
	}
	return nil
}

// LockCounters keeps the counters of the groups, and of those above them, for the transaction. One that places several
// contacts takes it when it has locked all of them, before it places the first: each placing locks counters in the order of
// their ids, but two of them one after the other do not.
func LockCounters(ctx context.Context, c Conn, groupIDs ...int64) error {
	if !isPostgres(c) || len(groupIDs) == 0 {
		return nil
	}
	nodes, err := loadNodes(ctx, c, "id IN "+idsOf(c, "$1"), groupIDs, jsonOf(groupIDs))
	if err != nil {
		return err
	}
	var chains []int64
	for _, n := range nodes {
		chains = append(chains, n.chain()...)
	}
	_, err = exec(ctx, c, "SELECT 1 FROM group_counters WHERE group_id IN "+idsOf(c, "$1")+" ORDER BY group_id FOR UPDATE", jsonOf(chains))
	if err != nil {
		return fmt.Errorf("locking counters: %w", err)
	}
	return nil
}

// counterRows returns a parenthesised query over $1, a JSON array of rows of (group, number…): columns id and those of
// counterColumns.
func counterRows(c Conn) string {
	columns := make([]string, len(counterColumns))
	for i, name := range counterColumns {
		if isPostgres(c) {
			columns[i] = fmt.Sprintf("CAST(v->>%d AS BIGINT) AS %s", i+1, name)
		} else {
			columns[i] = fmt.Sprintf("value->>%d AS %s", i+1, name)
		}
	}
	if isPostgres(c) {
		return "(SELECT CAST(v->>0 AS BIGINT) AS id, " + strings.Join(columns, ", ") +
			" FROM jsonb_array_elements(CAST($1 AS TEXT)::jsonb) AS v)"
	}
	return "(SELECT value->>0 AS id, " + strings.Join(columns, ", ") + " FROM json_each($1))"
}

// addCounters returns the statement that adds rows of (group, change…) to the counters.
func addCounters(c Conn) string {
	sums := make([]string, len(counterColumns))
	for i, name := range counterColumns {
		sums[i] = name + " = n." + name + " + d." + name
	}
	if !isPostgres(c) {
		return "UPDATE group_counters AS n SET " + strings.Join(sums, ", ") +
			" FROM " + counterRows(c) + " AS d WHERE n.group_id = d.id"
	}
	// An UPDATE locks in the order of its plan; the query within locks in the order of the ids.
	return "WITH d AS " + counterRows(c) + "," +
		" locked AS (SELECT group_id FROM group_counters WHERE group_id IN (SELECT id FROM d) ORDER BY group_id FOR UPDATE)" +
		" UPDATE group_counters AS n SET " + strings.Join(sums, ", ") +
		" FROM d JOIN locked ON locked.group_id = d.id WHERE n.group_id = d.id"
}
