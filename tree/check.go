package tree

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// FaultKind is what is wrong.
type FaultKind string

// The kinds of faults. All but Unreachable are mended by Rebuild.
const (
	Unreachable  FaultKind = "unreachable"   // the group's parents lead in a circle: the truth itself is damaged
	WrongPlace   FaultKind = "wrong place"   // path, depth or wall of a group
	WrongBox     FaultKind = "wrong box"     // of a contact, by its conversations and by who serves it
	ScopeMissing FaultKind = "scope missing" // a contact is not in a list where it should be
	ScopeSurplus FaultKind = "scope surplus" // a list shows what it should not, or something that is gone
	WrongCount   FaultKind = "wrong count"   // counters of a group
)

// Fault is one place where the structure is not what the truth says.
type Fault struct {
	Kind      FaultKind
	GroupID   int64 // 0 when the fault is not at a group
	ContactID int64 // 0 when the fault is not at a contact
	Detail    string
}

// String describes the fault in a line.
func (f Fault) String() string {
	text := string(f.Kind)
	if f.GroupID != 0 {
		text += fmt.Sprintf(", group %d", f.GroupID)
	}
	if f.ContactID != 0 {
		text += fmt.Sprintf(", contact %d", f.ContactID)
	}
	return text + ": " + f.Detail
}

// MaxFaults is how many faults of a kind Check returns at most.
const MaxFaults = 1000

// Check compares what is stored about the account's tree with what follows from the truth, and returns the faults. It
// changes nothing and can run beside anything else. It reads the whole account. When groups are unreachable it returns
// only those: nothing else can be said then.
func Check(ctx context.Context, c Conn, accountID int64) ([]Fault, error) {
	faults, err := unreachable(ctx, c, accountID)
	if err != nil || len(faults) > 0 {
		return faults, err
	}
	for _, find := range []func(context.Context, Conn, int64) ([]Fault, error){
		wrongPlaces, wrongBoxes, missing, surplus, wrongCounts,
	} {
		found, err := find(ctx, c, accountID)
		if err != nil {
			return nil, fmt.Errorf("checking account %d: %w", accountID, err)
		}
		faults = append(faults, found...)
	}
	return faults, nil
}

func unreachable(ctx context.Context, c Conn, accountID int64) (faults []Fault, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		f := Fault{Kind: Unreachable, Detail: "its parents do not lead to the root"}
		err := rows.Scan(&f.GroupID)
		faults = append(faults, f)
		return err
	}, withTree()+` SELECT g.id FROM groups AS g
		WHERE g.account_id = $1 AND NOT EXISTS (SELECT 1 FROM tree AS t WHERE t.id = g.id) ORDER BY g.id LIMIT $2`, accountID, MaxFaults)
	return faults, err
}

func wrongPlaces(ctx context.Context, c Conn, accountID int64) (faults []Fault, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		f := Fault{Kind: WrongPlace}
		var path, wall, truePath, trueWall string
		var depth, trueDepth int
		err := rows.Scan(&f.GroupID, &path, &depth, &wall, &truePath, &trueDepth, &trueWall)
		f.Detail = fmt.Sprintf("path %q, depth %d, wall %q; should be %q, %d, %q", path, depth, wall, truePath, trueDepth, trueWall)
		faults = append(faults, f)
		return err
	}, withTree()+` SELECT g.id, g.path, g.depth, g.wall, t.path, t.depth, t.wall
		FROM groups AS g JOIN tree AS t ON t.id = g.id
		WHERE g.account_id = $1 AND `+placesDiffer+" ORDER BY g.id LIMIT $2", accountID, MaxFaults)
	return faults, err
}

func wrongBoxes(ctx context.Context, c Conn, accountID int64) (faults []Fault, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		f := Fault{Kind: WrongBox}
		var box, trueBox int
		err := rows.Scan(&f.GroupID, &f.ContactID, &box, &trueBox)
		f.Detail = fmt.Sprintf("box %d, should be %d", box, trueBox)
		faults = append(faults, f)
		return err
	}, "SELECT c.group_id, c.id, c.box, "+trueBox+" FROM contacts AS c WHERE c.account_id = $1 AND c.box <> "+trueBox+
		" ORDER BY c.id LIMIT $2", accountID, MaxFaults)
	return faults, err
}

func missing(ctx context.Context, c Conn, accountID int64) ([]Fault, error) {
	return wrongScopes(ctx, c, accountID, ScopeMissing, missingScopes+excused(true))
}

func surplus(ctx context.Context, c Conn, accountID int64) ([]Fault, error) {
	return wrongScopes(ctx, c, accountID, ScopeSurplus, surplusScopes+excused(false))
}

func wrongScopes(ctx context.Context, c Conn, accountID int64, kind FaultKind, query string) (faults []Fault, err error) {
	err = collect(ctx, c, func(rows *sql.Rows) error {
		f := Fault{Kind: kind}
		var scope, sortKey int64
		var box int
		err := rows.Scan(&scope, &box, &sortKey, &f.ContactID)
		f.GroupID = max(scope, 0)
		f.Detail = fmt.Sprintf("scope %d, box %d, sort key %d", scope, box, sortKey)
		faults = append(faults, f)
		return err
	}, withScopes()+query+" ORDER BY scope_id, contact_id LIMIT $2", accountID, MaxFaults)
	return faults, err
}

func wrongCounts(ctx context.Context, c Conn, accountID int64) (faults []Fault, err error) {
	columns := func(table string) string { return table + "." + strings.Join(counterColumns, ", "+table+".") }
	err = collect(ctx, c, func(rows *sql.Rows) error {
		f := Fault{Kind: WrongCount}
		var total Counters
		stored := make([]sql.NullInt64, len(counterColumns))
		dest := []any{&f.GroupID}
		for i := range stored {
			dest = append(dest, &stored[i])
		}
		for _, field := range total.fields() {
			dest = append(dest, field)
		}
		err := rows.Scan(dest...)
		f.Detail = countDetail(stored, total)
		faults = append(faults, f)
		return err
	}, withTotals()+" SELECT t.group_id, "+columns("n")+", "+columns("t")+`
		FROM total AS t LEFT JOIN group_counters AS n ON n.group_id = t.group_id
		WHERE n.group_id IS NULL OR `+countersDiffer()+" ORDER BY t.group_id LIMIT $2", accountID, MaxFaults)
	return faults, err
}

func countDetail(stored []sql.NullInt64, total Counters) string {
	if !stored[0].Valid {
		return "has no counters"
	}
	var wrong []string
	for i, field := range total.fields() {
		if stored[i].Int64 != *field {
			wrong = append(wrong, fmt.Sprintf("%s is %d, should be %d", counterColumns[i], stored[i].Int64, *field))
		}
	}
	return strings.Join(wrong, "; ")
}
